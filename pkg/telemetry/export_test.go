package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/pkg/waittest"
)

// collector takes in logs over OTLP as a real one does.
type collector struct {
	collogs.UnimplementedLogsServiceServer
	hang chan struct{} // a call waits until it is closed; nil for not at all

	mu      sync.Mutex
	refuses bool
	got     []map[string]string // of each record: attributes, and what else was told
}

// startCollector serves a collector and gives its URL.
func startCollector(t testing.TB, c *collector) (url string) {
	t.Helper()
	s := grpc.NewServer()
	collogs.RegisterLogsServiceServer(s, c)
	return "http://" + nettest.ServeGRPC(t, s)
}

// Export implements the OTLP logs service.
func (c *collector) Export(ctx context.Context, r *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	if c.hang != nil {
		select {
		case <-c.hang:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuses {
		return nil, status.Error(codes.InvalidArgument, "not today")
	}
	for _, of := range r.GetResourceLogs() {
		for _, scope := range of.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				line := map[string]string{
					"body": record.GetBody().GetStringValue(), "level": record.GetSeverityText(),
					"trace_id": fmt.Sprintf("%x", record.GetTraceId()), "span_id": fmt.Sprintf("%x", record.GetSpanId()),
				}
				add(line, of.GetResource().GetAttributes())
				add(line, record.GetAttributes())
				c.got = append(c.got, line)
			}
		}
	}
	return &collogs.ExportLogsServiceResponse{}, nil
}

func add(line map[string]string, attributes []*commonpb.KeyValue) {
	for _, a := range attributes {
		line[a.GetKey()] = a.GetValue().GetStringValue()
	}
}

func (c *collector) find(body string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.got {
		if line["body"] == body {
			return line
		}
	}
	return nil
}

// newLog is a log whose lines go to a book and to a collector.
func newLog(t *testing.T, endpoint string) (*telemetry.Telemetry, *telemetry.Log, *logtest.Book) {
	t.Helper()
	tel := newTelemetry(t, telemetry.Config{OTLPEndpoint: endpoint, Version: "1.2.3"})
	book := &logtest.Book{}
	l, err := tel.NewLog(t.Context(), book, slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	return tel, l, book
}

func TestLog_SendsItsLinesToTheCollectorAsWell(t *testing.T) {
	t.Parallel()
	c := &collector{}
	_, l, book := newLog(t, startCollector(t, c))
	ctx := telemetry.WithSaga(inSpan(t), "sag_1")
	l.Logger("payment").With(slog.String("to", "a@b.example")).InfoContext(ctx, "charged", slog.Any("error", errors.New("card "+card)))
	l.Logger("inventory").DebugContext(ctx, "noise")
	l.Logger("inventory").WarnContext(t.Context(), "empty")
	if err := l.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := c.find("charged")
	for key, want := range map[string]string{
		"trace_id": traceID, "span_id": spanID, "saga_id": "sag_1", "level": "INFO", "service.name": "payment",
		"service.namespace": "tieout", "service.version": "1.2.3", "to": "[e-mail]", "error": "card [card]",
	} {
		if got[key] != want {
			t.Errorf("%s: got %q, want %q", key, got[key], want)
		}
	}
	if got := c.find("empty"); got["service.name"] != "inventory" || got["level"] != "WARN" || got["trace_id"] != "" {
		t.Errorf("got %v", got)
	}
	if c.find("noise") != nil {
		t.Error("a line below the level was sent")
	}
	if line := book.Find("charged"); line["service"] != "payment" || line["trace_id"] != traceID || line["error"] != "card [card]" {
		t.Errorf("got line %v", line)
	}
}

// A collector that hangs costs lines, which are counted, and no time.
func TestLog_DoesNotWaitForTheCollector(t *testing.T) {
	t.Parallel()
	c := &collector{hang: make(chan struct{})}
	tel, l, book := newLog(t, startCollector(t, c))
	log, began := l.Logger("payment"), time.Now()
	const lines = 20_000
	for range lines {
		log.Info("charged")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d lines took %v", lines, took)
	}
	if got := strings.Count(book.String(), "\n"); got != lines {
		t.Errorf("%d lines in the process' own log, want %d", got, lines)
	}
	_, metrics := scrape(t, tel, "text/plain")
	var counted float64
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "tieout_log_lost_total{by=\"full\"") {
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " "):], &counted); err != nil {
				t.Fatal(err)
			}
		}
	}
	if counted < lines/2 || counted >= lines {
		t.Errorf("%v lines are counted as lost", counted)
	}
	close(c.hang)
	waittest.Until(t, "what waited is sent", func() bool { return c.find("charged") != nil })
	if err := l.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := len(c.got) + int(counted); got != lines {
		t.Errorf("%d lines were sent and %v lost, want %d together", len(c.got), counted, lines)
	}
}

func TestLog_TellsThatTheCollectorRefuses(t *testing.T) {
	t.Parallel()
	c := &collector{refuses: true}
	tel, l, book := newLog(t, startCollector(t, c))
	l.Logger("payment").Info("lost")
	waittest.Until(t, "it is told", func() bool { return book.Find("the collector does not get the log") != nil })
	c.mu.Lock()
	c.refuses = false
	c.mu.Unlock()
	l.Logger("payment").Info("sent")
	waittest.Until(t, "the end is told", func() bool { return book.Find("the collector gets the log again") != nil })
	if c.find("sent") == nil || c.find("lost") != nil {
		t.Errorf("got %v", c.got)
	}
	if _, metrics := scrape(t, tel, "text/plain"); !strings.Contains(metrics, `by="failed"`) {
		t.Error("the loss is not counted")
	}
	if err := l.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLog_WithoutACollectorIsLinesOnly(t *testing.T) {
	t.Parallel()
	_, l, book := newLog(t, "")
	l.Logger("payment").Info("charged")
	if err := l.Shutdown(t.Context()); err != nil || book.Find("charged")["service"] != "payment" {
		t.Errorf("got %v, %s", err, book)
	}
}
