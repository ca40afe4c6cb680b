package web

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// maxMessage is how large a client's message may be. It has nothing to say: any message ends the connection.
const maxMessage = 1 << 10

// socket is a client that is told over a WebSocket.
type socket struct {
	conn     *websocket.Conn
	patience time.Duration
	spoke    atomic.Bool // the client said something
}

func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// openSocket makes a request's connection a WebSocket. Gone is called when the client has closed it. Whose page asks was
// checked before.
func (g *gateway) openSocket(w http.ResponseWriter, r *http.Request, gone func()) (listener, error) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	s := &socket{conn: conn, patience: g.watch.Patience}
	go s.listen(context.WithoutCancel(r.Context()), gone)
	return s, nil
}

// listen answers pings and takes pongs, until the client closes the connection, or says something.
func (s *socket) listen(ctx context.Context, gone func()) {
	defer gone()
	if _, _, err := s.conn.Reader(ctx); err == nil {
		s.spoke.Store(true)
	}
}

// tell implements listener. With a heartbeat the client is pinged, and has to answer.
func (s *socket) tell(f frame) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, f.json); err != nil || f.news {
		return err
	}
	return s.conn.Ping(ctx)
}

// end implements listener. The reason of the close is the cursor, and before it comes what happened.
func (s *socket) end(why *rpcerr.Error, cursor string) {
	if s.spoke.Load() {
		_ = s.conn.Close(websocket.StatusPolicyViolation, "a watch takes no messages")
		return
	}
	if why == nil {
		_ = s.conn.Close(websocket.StatusNormalClosure, "ended") // a client that is gone has ended, too
		return
	}
	code := websocket.StatusInternalError
	switch why.Reason {
	case rpcerr.ShuttingDown, rpcerr.DestinationDown:
		code = websocket.StatusServiceRestart
	case rpcerr.WatchNotRead:
		code = websocket.StatusTryAgainLater
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Write(ctx, websocket.MessageText, []byte(`{"error":`+string(statusJSON(why.GRPCStatus()))+`,"cursor":"`+cursor+`"}`))
	_ = s.conn.Close(code, cursor)
}
