package rpc_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

type pageKind struct{}

func (pageKind) Prefix() string { return "pag" }

// FuzzPageToken reads tokens of anybody's making: what is taken can be asked of the database, and is what a token of ours
// would lead to.
func FuzzPageToken(f *testing.F) {
	for _, token := range []string{"", "eA", "not a token", "AA", "/w", "_w", "eB", "eA\n", rpc.PageToken(id.New[pageKind]().String()), rpc.PageToken("pag_1")} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		key, err := rpc.ParsePageToken(token)
		switch {
		case err != nil:
			rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
		case !utf8.ValidString(key) || strings.ContainsRune(key, 0):
			t.Errorf("%q was taken for a token, of %q", token, key)
		}
		if again, err2 := rpc.ParsePageToken(rpc.PageToken(key)); again != key || err2 != nil {
			t.Errorf("the token of %q leads to %q, %v", key, again, err2)
		}
		before, err2 := rpc.PageBefore[pageKind](token)
		switch {
		case err2 != nil:
			rpcerrtest.Want(t, err2, rpcerr.RequestInvalid, "page_token")
		case err != nil || key == "" && before.UUID() != uuid.Max || key != "" && before.String() != key:
			t.Errorf("a page behind %q begins before %s", token, before)
		}
	})
}

// FuzzRequest reads requests of anybody's making: what is taken has no text that cannot be stored, and anything else is
// the client's mistake.
func FuzzRequest(f *testing.F) {
	good, err := proto.Marshal(reserveRequest())
	if err != nil {
		f.Fatal(err)
	}
	for _, raw := range [][]byte{nil, good, good[1:], []byte("\x0a\x01\xff"), []byte("\x0a\x01\x00"), []byte("\x1a\x03\x0a\x01\x00"), []byte("\x0b\x0c"), []byte("\x0b\x0b")} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		request := &inventoryv1.ReserveRequest{}
		if err := rpc.Receive(raw, request); err != nil {
			e, _ := rpcerr.FromError(err)
			if e == nil || e.Reason != rpcerr.RequestMalformed {
				t.Errorf("got %v, want %s", err, rpcerr.RequestMalformed)
			}
			return
		}
		text, err := protojson.Marshal(request)
		if err != nil && !strings.Contains(err.Error(), "google.protobuf.Duration") || strings.Contains(string(text), `\u0000`) {
			t.Errorf("was taken: %q, %v", text, err)
		}
	})
}
