package rpc

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	defaultPageSize = 50
	maxPageSize     = 1000
)

// PageSize is how many items a List method returns for the page_size it was asked for (AIP-158).
func PageSize(asked int32) int32 {
	if asked <= 0 {
		return defaultPageSize
	}
	return min(asked, maxPageSize)
}

// maxPageBytes bounds a page of large items, well below what a client takes in one message (4 MiB by default).
const maxPageBytes = 2 << 20

// Page converts a page of n items from up to n+1 that were read – of fewer where they are large – and makes the
// opaque token of the next page from the key of the page's last item (keyset pagination); the token is empty when
// there is no further item.
func Page[T any, M proto.Message](items []T, n int32, convert func(T) M, key func(M) string) (page []M, nextToken string) {
	size := 0
	for i, item := range items {
		if i == int(n) || size >= maxPageBytes {
			return page, PageToken(key(page[i-1]))
		}
		m := convert(item)
		page, size = append(page, m), size+proto.Size(m)
	}
	return page, ""
}

// PageToken makes the token behind a key; the empty one behind "".
func PageToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

// ParsePageToken gives the key behind a token; "" for the first page. What is no token is REQUEST_INVALID.
func ParsePageToken(token string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || !utf8.Valid(key) || bytes.IndexByte(key, 0) >= 0 {
		return "", badPageToken()
	}
	return string(key), nil
}

// PageBefore gives the id that a page of a list with the newest first begins behind: the one behind the token, or for
// the first page one that is greater than all there are. What is no token of such a list is REQUEST_INVALID.
func PageBefore[K id.Kind](token string) (id.ID[K], error) {
	key, err := ParsePageToken(token)
	if err != nil || key == "" {
		return id.ID[K](uuid.Max), err
	}
	before, err := id.Parse[K](key)
	if err != nil {
		return before, badPageToken()
	}
	return before, nil
}

func badPageToken() error {
	return rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
}
