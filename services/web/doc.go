// Package web is everything HTTP: the REST gateway, uploads of batches, and live watches of orders and batches over server-sent
// events and WebSocket.
//
// It owns no data and answers no RPC. It dials the servers as any client does, so that what they check is checked, and
// passes on who asks: the header Tieout-Caller, or nobody. What there is, and where, stands with the methods in the
// protos (google.api.http); the gateway's code and its description, /openapi.json, are generated from there.
//
// A request goes through request.go (origin.go, its size, its caller, its trace, its key), then by server.go to the
// server that answers. What goes wrong is told by errors.go in one shape, whatever it is: google.rpc.Status as JSON.
//
// An upload (server_upload.go) is passed on piece by piece, and dead letters (server_deadletters.go) are looked for in every process.
//
// A watch (server_watch.go) is a watch of the orchestrator or billing, told by sse.go or websocket.go. It waits for nothing of its
// own: their heartbeats are the client's. How many there are is bounded, for all and for each caller (seats.go). One
// whose client does not read is dropped, and all are ended when the process stops: the client goes on with the last cursor
// that it got, here or at another replica.
//
// A crash loses connections and nothing else: clients ask again under the same key, and watch behind their cursor.
package web
