-- +goose Up
-- How often a row was written: caches keep the higher version. A trigger counts, so that the previous binary does, too, and
-- whoever mends a row by hand.
ALTER TABLE stock_level ADD COLUMN version bigint NOT NULL DEFAULT 1;
ALTER TABLE item ADD COLUMN version bigint NOT NULL DEFAULT 1;

-- +goose StatementBegin
CREATE FUNCTION raise_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER raise_version BEFORE UPDATE ON stock_level FOR EACH ROW EXECUTE FUNCTION raise_version();
CREATE TRIGGER raise_version BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION raise_version();
