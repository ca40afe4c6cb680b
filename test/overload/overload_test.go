package overload

import (
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tieout/tieout/test/systemtest"
)

var (
	phase = flag.Duration("overload.for", 0, "how long each load lasts; 0 is a short run of two loads")
	table = flag.String("overload.table", "", "file that the table is written to")
	plot  = flag.String("overload.plot", "", "file that the plot is written to, as SVG")
	only  = flag.String("overload.loads", "0.5,1,2,5,10,0.5", "multiples of the capacity, one after the other")
)

// TestOverload puts multiples of the capacity on the system, one after the other. Without flags it is a short run that
// checks what must hold however slow the machine is.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	each, loads := *phase, multiples(t, *only)
	if each == 0 {
		each, loads = 2*time.Second, []float64{10, 0.5}
	}
	binary, behind := systemtest.Build(t), append(together(t), apart(t)...)
	provider := startProvider(t, binary)
	system := systemtest.StartDev(t, binary, behind...)
	provider.tell(t, system)
	g := newGenerator(t, system)
	g.receive()
	g.capacity(max(2*each, 3*time.Second)) // a new system is faster: nothing is vacuumed yet, and no parcel is looked after
	r := &report{capacity: g.capacity(max(each, 3*time.Second))}
	t.Logf("capacity: %.0f orders a second", r.capacity)
	g.wantAllWell()
	before := g.measured().ended
	for i, load := range loads {
		r.phases = append(r.phases, g.run(load, r.capacity, each))
		if i < len(loads)-1 && loads[i+1] < load {
			continue // what comes next shows how soon all is normal again
		}
		g.wantAllWell()
	}
	r.ended = g.measured().ended - before
	r.print(t)
	for file, text := range map[string]string{*table: r.String(), *plot: r.plot()} {
		if file == "" {
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
	r.check(t)
}

// multiples reads a list of numbers.
func multiples(t *testing.T, list string) (all []float64) {
	t.Helper()
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n <= 0 {
			t.Fatalf("-overload.loads: %q is no multiple", text)
		}
		all = append(all, n)
	}
	return all
}
