-- Questions to ask of logs and spans. Each takes its parameters as clickhouse-client does:
--   clickhouse-client --param_order=ord_… --query "…"

-- name: Everything that happened to an order, over all services
WITH
    traces AS (
        SELECT TraceId FROM tieout.logs WHERE OrderId = {order:String} AND TraceId != ''
        UNION DISTINCT
        SELECT TraceId FROM tieout.spans WHERE OrderId = {order:String}
    ),
    sagas AS (SELECT DISTINCT SagaId FROM tieout.logs WHERE OrderId = {order:String} AND SagaId != '')
SELECT at, service, what, took_ms, detail
FROM (
    SELECT Timestamp AS at, ServiceName AS service, concat(SeverityText, ' ', Body) AS what, 0. AS took_ms, toString(LogAttributes) AS detail
    FROM tieout.logs
    WHERE OrderId = {order:String} OR TraceId IN traces OR SagaId IN sagas
    UNION ALL
    SELECT Timestamp, ServiceName, concat(SpanKind, ' ', SpanName), Duration / 1e6, concat(StatusCode, ' ', StatusMessage)
    FROM tieout.spans
    WHERE OrderId = {order:String} OR TraceId IN traces
)
ORDER BY at;

-- name: Changes of state of an order, with the time between them
SELECT Timestamp AS at, ServiceName AS service, LogAttributes['entity'] AS entity, LogAttributes['event'] AS event,
    LogAttributes['subject'] AS subject, dateDiff('millisecond', lagInFrame(Timestamp, 1, Timestamp) OVER (ORDER BY Timestamp), Timestamp) AS after_ms
FROM tieout.logs
WHERE OrderId = {order:String} AND Body = 'state changed'
ORDER BY at;

-- name: Errors by service in the last day
SELECT ServiceName AS service, SeverityText AS level, Body AS message, count() AS lines, max(Timestamp) AS last,
    any(LogAttributes['error']) AS example
FROM tieout.logs
WHERE Timestamp > now() - INTERVAL 1 DAY AND SeverityNumber >= 13
GROUP BY service, level, message
ORDER BY lines DESC
LIMIT 50;

-- name: The slowest orders of the last hour
SELECT OrderId AS order_id, minIf(Timestamp, event = 'placed') AS placed, maxIf(Timestamp, event IN ('completed', 'compensated', 'parked')) AS ended,
    argMaxIf(event, Timestamp, event IN ('completed', 'compensated', 'parked')) AS as,
    dateDiff('millisecond', placed, ended) AS took_ms, any(TraceId) AS trace_id
FROM (
    SELECT OrderId, Timestamp, TraceId, LogAttributes['event'] AS event
    FROM tieout.logs
    WHERE ServiceName = 'orchestrator' AND Body = 'state changed' AND LogAttributes['entity'] = 'order' AND Timestamp > now() - INTERVAL 1 HOUR
)
GROUP BY OrderId
HAVING ended > placed AND countIf(event = 'placed') > 0
ORDER BY took_ms DESC
LIMIT 20;

-- name: Orders that were placed and have not ended after five minutes
SELECT OrderId AS order_id, min(Timestamp) AS placed, argMax(LogAttributes['event'], Timestamp) AS last_event
FROM tieout.logs
WHERE ServiceName = 'orchestrator' AND Body = 'state changed' AND LogAttributes['entity'] = 'order' AND Timestamp > now() - INTERVAL 1 DAY
GROUP BY OrderId
HAVING countIf(LogAttributes['event'] IN ('completed', 'compensated', 'parked')) = 0 AND placed < now() - INTERVAL 5 MINUTE
ORDER BY placed;

-- name: Why orders turned back in the last day
SELECT LogAttributes['step'] AS step, replaceRegexpAll(LogAttributes['cause'], '[0-9a-f]{8}-[0-9a-f-]{27}', '…') AS cause, count() AS orders
FROM tieout.logs
WHERE ServiceName = 'orchestrator' AND Body = 'saga recorded an event' AND LogAttributes['type'] = 'compensation_decided'
    AND Timestamp > now() - INTERVAL 1 DAY
GROUP BY step, cause
ORDER BY orders DESC;

-- name: Where the time goes, by service and span
SELECT ServiceName AS service, SpanName AS span, count() AS spans, round(quantile(0.5)(Duration) / 1e6, 2) AS p50_ms,
    round(quantile(0.99)(Duration) / 1e6, 2) AS p99_ms, countIf(StatusCode = 'Error') AS errors
FROM tieout.spans
WHERE Timestamp > now() - INTERVAL 1 HOUR
GROUP BY service, span
ORDER BY p99_ms DESC
LIMIT 50;

-- name: What the log is made of
SELECT ServiceName AS service, Body AS message, count() AS lines, formatReadableSize(sum(length(toString(LogAttributes)))) AS attributes
FROM tieout.logs
WHERE Timestamp > now() - INTERVAL 1 HOUR
GROUP BY service, message
ORDER BY lines DESC;
