package rpc_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

func TestPageSize_IsBounded(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int32]int32{-1: 50, 0: 50, 1: 1, 1000: 1000, 1001: 1000} {
		if got := rpc.PageSize(asked); got != want {
			t.Errorf("%d: got %d, want %d", asked, got, want)
		}
	}
}

func TestPage_LeadsThroughAllItemsOnce(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b/1", "c", "d ä", "e"}
	for size := int32(1); size <= 6; size++ {
		var seen []string
		token := ""
		for range len(all) + 1 {
			after, err := rpc.ParsePageToken(token)
			if err != nil {
				t.Fatal(err)
			}
			var rest []string
			for _, item := range all {
				if item > after && int32(len(rest)) < size+1 {
					rest = append(rest, item)
				}
			}
			page, next := rpc.Page(rest, size, wrapperspb.String, (*wrapperspb.StringValue).GetValue)
			for _, item := range page {
				seen = append(seen, item.GetValue())
			}
			if token = next; token == "" {
				break
			}
		}
		if diff := cmp.Diff(all, seen); diff != "" || token != "" {
			t.Errorf("pages of %d, last token %q (-want +got):\n%s", size, token, diff)
		}
	}
}

func TestPage_IsCutWhereItsItemsAreLarge(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 900<<10)
	page, next := rpc.Page([]string{large, large, large, large}, 10, wrapperspb.String, (*wrapperspb.StringValue).GetValue)
	if len(page) != 3 || next == "" {
		t.Errorf("got %d items of 900 KiB and token %q, want 3 and a token", len(page), next)
	}
}

func TestParsePageToken_RefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"!", "a b", "====", "ä", "_w", "AA"} {
		_, err := rpc.ParsePageToken(token)
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
	}
}
