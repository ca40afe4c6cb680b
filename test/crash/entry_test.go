package crash

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mode is what happens after a death.
type mode string

const (
	restart  mode = "restart"
	takeover mode = "takeover"
)

// entry is a death: of a process, at the n-th time that it passes a mark.
type entry struct {
	process string
	mark    string
	n       int
	then    mode
}

// String is what the entry is called as a test.
func (e entry) String() string { return fmt.Sprintf("%s/%s/%s", e.process, e.at(), e.then) }

// at is what the process is told.
func (e entry) at() string { return fmt.Sprintf("%s#%d", e.mark, e.n) }

// retold are marks of transactions that have marks of their own.
var retold = []string{"tx/groupcommit.", "tx/inbox.(*receiver).apply"}

// entries reads the trace of a process.
func entries(t *testing.T, s scenario, process, trace string) []entry {
	t.Helper()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for line := range strings.Lines(string(text)) {
		mark, n, ok := strings.Cut(strings.TrimSpace(line), "#")
		if times[mark], err = strconv.Atoi(n); !ok || err != nil {
			t.Fatalf("line %q in the trace of %s", line, process)
		}
	}
	var all []entry
	for mark, last := range times {
		if skip(s, mark) {
			continue
		}
		nths := []int{1, 2, last}[:min(last, 3)]
		for _, n := range nths {
			all = append(all, entry{process, mark, n, restart})
			if process == orchestrator {
				all = append(all, entry{process, mark, n, takeover})
			}
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.then, b.then), cmp.Compare(a.mark, b.mark), cmp.Compare(a.n, b.n))
	})
	return all
}

func skip(s scenario, mark string) bool {
	for _, prefix := range retold {
		if strings.HasPrefix(mark, prefix) {
			return true
		}
	}
	place, _, _ := strings.Cut(mark, "/")
	return !s.events && (place == "outbox" || place == "inbox")
}

// sample is what every run of the tests tries: a death of each process at each kind of place, by scenario. An expression
// that fits several entries means the first.
var sample = map[string][]string{
	"through": {
		`orchestrator/groupcommit/.*intake/unseen#1/restart`,
		`orchestrator/groupcommit/.*transitions/inside#2/restart`,
		`orchestrator/rpc/.*Reserve/unseen#1/restart`,
		`orchestrator/rpc/.*Authorize/unseen#1/takeover`,
		`orchestrator/rpc/.*Capture/unseen#1/restart`,
		`payment/provider/POST/v1/captures/unseen#1/restart`,
		`orchestrator/outbox/unseen#1/restart`,
		`orchestrator/inbox/.*timeline/unseen#1/takeover`,
		`inventory/groupcommit/.*reserve/unseen#1/restart`,
	},
	"not shipped": {
		`payment/provider/POST/v1/charges/unseen#1/restart`,
		`payment/provider/POST/v1/voids/unseen#1/restart`,
		`payment/outbox/unseen#1/restart`,
		`inventory/groupcommit/.*release/inside#1/restart`,
		`shipment/outbox/before#1/restart`,
	},
}

// sampled gives the entries of the sample.
func sampled(t *testing.T, s scenario, all []entry) []entry {
	t.Helper()
	var some []entry
	for _, expression := range sample[s.name] {
		fits := regexp.MustCompile(`^` + expression + `$`)
		i := slices.IndexFunc(all, func(e entry) bool { return fits.MatchString(e.String()) })
		if i < 0 {
			t.Errorf("nothing that is passed fits %s", expression)
			continue
		}
		some = append(some, all[i])
	}
	return some
}
