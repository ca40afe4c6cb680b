-- Where the collector keeps logs and spans (../collector.yaml): run it once before the collector starts, with
--   clickhouse-client --multiquery < schema.sql
-- ClickHouse 23.3 or newer. Nothing here is the truth: that is in Postgres. What is here may be dropped, and goes by itself.
--
-- The columns are those that the collector's exporter writes. OrderId and SagaId are taken out of the attributes as rows come
-- in, whatever the attribute is called, so that all that happened to one order is found by an index.

CREATE DATABASE IF NOT EXISTS tieout;

CREATE TABLE IF NOT EXISTS tieout.logs (
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8,
    SeverityText LowCardinality(String),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String),
    Body LowCardinality(String), -- messages are constant
    ResourceSchemaUrl LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String),
    ScopeName LowCardinality(String),
    ScopeVersion LowCardinality(String),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName LowCardinality(String),
    OrderId String MATERIALIZED extract(arrayStringConcat(mapValues(LogAttributes), ' '), 'ord_[0-9a-f]{8}[0-9a-f-]{28}') CODEC(ZSTD(1)),
    SagaId String MATERIALIZED LogAttributes['saga_id'] CODEC(ZSTD(1)),
    INDEX by_trace TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_order OrderId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_saga SagaId TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, toDateTime(Timestamp))
TTL toDateTime(Timestamp) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS tieout.spans (
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String),
    SpanKind LowCardinality(String),
    ServiceName LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName LowCardinality(String),
    ScopeVersion LowCardinality(String),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)), -- ns
    StatusCode LowCardinality(String),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    OrderId String MATERIALIZED extract(arrayStringConcat(mapValues(SpanAttributes), ' '), 'ord_[0-9a-f]{8}[0-9a-f-]{28}') CODEC(ZSTD(1)),
    SagaId String MATERIALIZED extract(arrayStringConcat(mapValues(SpanAttributes), ' '), 'sag_[0-9a-f]{8}[0-9a-f-]{28}') CODEC(ZSTD(1)),
    INDEX by_trace TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_order OrderId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_saga SagaId TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
TTL toDateTime(Timestamp) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1;
