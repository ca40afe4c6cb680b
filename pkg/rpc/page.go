package rpc

import (
	"encoding/base64"

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

// Page cuts a page of n items from up to n+1 that were read, and makes the opaque token of the next page from the
// key of the page's last item (keyset pagination); the token is empty when there is no further item.
func Page[T any](items []T, n int32, key func(T) string) (page []T, nextToken string) {
	if int32(len(items)) <= n {
		return items, ""
	}
	page = items[:n]
	return page, base64.RawURLEncoding.EncodeToString([]byte(key(page[n-1])))
}

// ParsePageToken gives the key behind a token; "" for the first page. What is no token is REQUEST_INVALID.
func ParsePageToken(token string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
	}
	return string(key), nil
}
