package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// events is a client that is told by server-sent events.
type events struct {
	name     string // of what is told
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

// openEvents begins server-sent events of a name. When what is watched has ended, and there is nothing to tell, the answer is
// 204: the browser does not come back then.
func (g *gateway) openEvents(w http.ResponseWriter, name string, something bool) (listener, error) {
	if !something {
		w.WriteHeader(http.StatusNoContent)
		return nil, nil
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // of proxies that would gather events
	e := &events{name: name, w: w, control: http.NewResponseController(w), patience: g.watch.Patience}
	return e, e.write("retry: %d\n\n", g.watch.Retry.Milliseconds())
}

// tell implements listener.
func (e *events) tell(f frame) error {
	if !f.news {
		return e.write(": heartbeat\n\n")
	}
	return e.write("id: %s\nevent: %s\ndata: %s\n\n", f.cursor, e.name, f.json)
}

// end implements listener. The id of the last event is the browser's to keep.
func (e *events) end(why *rpcerr.Error, _ string) {
	text := "event: end\ndata: {}\n\n"
	if why != nil {
		text = fmt.Sprintf("event: status\ndata: %s\n\n", statusJSON(why.GRPCStatus()))
	}
	_ = e.write("%s", text) // a client that is gone, or does not read, comes back behind the last id
}

// write writes what the client has to read within its patience.
func (e *events) write(format string, args ...any) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(e.patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.w, format, args...); err != nil {
		return err
	}
	return e.control.Flush()
}
