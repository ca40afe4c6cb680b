package web

import (
	_ "embed" // the description
	"net/http"
)

// openAPI is what the gateway has, generated with its code.
//
//go:embed openapi/tieout.swagger.json
var openAPI []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // a client that is gone needs no description
}
