#!/bin/sh
# Run once by the Postgres image on an empty data directory: a database and a login role for each service, and
# nobody else may connect to it.
set -eu
for service in orchestrator inventory payment shipment billing reconciliation; do
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" -v name="$service" -v password="$TIEOUT_DB_PASSWORD" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
