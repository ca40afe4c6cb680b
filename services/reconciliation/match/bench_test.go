package match_test

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

// BenchmarkMatch matches rows in no order: planted are things that happened with 2 % breaks, id are rows that all tie by one id.
// What it reports besides is the rows of both sides in a second, and by how much the heap grew beyond the rows.
func BenchmarkMatch(b *testing.B) {
	for _, of := range []struct {
		name string
		rows func() match.Input
	}{
		{"planted/10k", func() match.Input { return planted(10_000) }},
		{"planted/1M", func() match.Input { return planted(1_000_000) }},
		{"id/1M", func() match.Input { return byID(1_000_000) }},
	} {
		b.Run(of.name, func(b *testing.B) {
			in := of.rows()
			ours, theirs := slices.Clone(in.Ours), slices.Clone(in.Theirs)
			runtime.GC()
			debug.FreeOSMemory()
			peak := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				copy(in.Ours, ours)
				copy(in.Theirs, theirs)
				stop := watchHeap(&peak)
				b.StartTimer()
				result, err := match.Run(in, match.DefaultProvider())
				if err != nil || result.Len() == 0 {
					b.Fatal(result.Len(), err)
				}
				b.StopTimer()
				stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(len(ours)+len(theirs))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
		})
	}
}

func planted(cases int) match.Input {
	c := matchtest.Config{Seed: 1, Cases: cases}
	return matchtest.Collect(matchtest.Generate(c), match.StageProvider, 1).Input(c.AsOf())
}

func byID(rows int) match.Input {
	in := match.Input{Ours: make([]match.Row, rows), Theirs: make([]match.Row, rows)}
	for i := range rows {
		l := matchtest.Line{Name: fmt.Sprint("ours", i), Kind: match.KindCharge, Amount: int64(100 + i%500)}
		l.Carriers[match.CarrierID] = fmt.Sprint("ch_", i)
		in.Ours[i] = l.Row(1)
		l.Name = fmt.Sprint("theirs", i)
		in.Theirs[rows-1-i] = l.Row(1)
	}
	return in
}

// watchHeap notes the most that the heap grows by until the returned function is called.
func watchHeap(peak *uint64) (stop func()) {
	live := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	before, done, ended := live(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				if now := live(); now > before {
					*peak = max(*peak, now-before)
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}
