package promtest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/waittest"
)

// find gives the path of a program of Prometheus, or skips the test.
func find(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install prometheus", program)
	}
	return path
}

// Promtool runs promtool, and fails the test with what it says when it fails.
func Promtool(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), find(t, "promtool"), args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

// Server is a running Prometheus.
type Server struct {
	// URL is where its API is.
	URL string
}

// Start starts a Prometheus with a configuration, on data that is there already, or in an empty directory. It ends with the test, and with
// the process of the test.
func Start(t testing.TB, config, data string) *Server {
	t.Helper()
	program := find(t, "prometheus")
	file := filepath.Join(t.TempDir(), "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := nettest.FreeAddr(t)
	// The shell waits for the end of its input, which is this process' to close, even by dying.
	cmd := exec.Command("sh", "-c", `"$@" & read _; kill $!; wait $!`, "sh", program,
		"--config.file="+file, "--storage.tsdb.path="+data, "--storage.tsdb.retention.time=10y",
		"--web.listen-address="+addr, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	held, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = held.Close()
		_ = cmd.Wait()
	})
	s := &Server{URL: "http://" + addr}
	waittest.Until(t, "Prometheus is ready", func() bool {
		status, _, err := s.get(t.Context(), "/-/ready")
		return err == nil && status == http.StatusOK
	})
	return s
}

func (s *Server) get(ctx context.Context, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// Alert is an alert that is pending or firing.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	// State is "pending" or "firing".
	State string `json:"state"`
	// ActiveAt is since when its condition holds.
	ActiveAt time.Time `json:"activeAt"`
}

// Alerts are the alerts that are pending or firing.
func (s *Server) Alerts(t testing.TB) []Alert {
	t.Helper()
	var answer struct{ Alerts []Alert }
	s.ask(t, "/api/v1/alerts", &answer)
	return answer.Alerts
}

// Series is one series of an answer: its labels, and its value as text.
type Series struct {
	Labels map[string]string
	Value  string
}

// Query evaluates an expression that gives a vector, now.
func (s *Server) Query(t testing.TB, expr string) []Series {
	t.Helper()
	var answer struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	s.ask(t, "/api/v1/query?query="+url.QueryEscape(expr), &answer)
	var all []Series
	for _, r := range answer.Result {
		value, _ := r.Value[1].(string)
		all = append(all, Series{r.Metric, value})
	}
	return all
}

// ask reads the data of an answer of the API.
func (s *Server) ask(t testing.TB, path string, data any) {
	t.Helper()
	status, body, err := s.get(t.Context(), path)
	if err != nil {
		t.Fatalf("asking Prometheus for %s: %v", path, err)
	}
	answer := struct {
		Data any `json:"data"`
	}{data}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		t.Fatalf("asking Prometheus for %s: %d, %v\n%s", path, status, err, body)
	}
}
