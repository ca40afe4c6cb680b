package paymentfile_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/billing/paymentfile"
)

// valuesOf gives what a file says of a payment.
func valuesOf(p paymentfile.Payment) map[string]string {
	return map[string]string{
		"reference": p.Reference, "customer_id": p.CustomerID, "payment_method": p.PaymentMethod,
		"amount": p.Amount.Decimal(), "currency": string(p.Amount.Currency),
		"description": p.Description, "card_scheme": p.CardScheme,
	}
}

// texts draws what can be seen, often with what the formats have to quote.
func texts(least, most int) *rapid.Generator[string] {
	char := rapid.OneOf(rapid.RuneFrom([]rune(`,";'\{}=é😀 `)), rapid.RuneFrom(nil, unicode.L, unicode.N, unicode.P, unicode.S))
	return rapid.StringOfN(char, least, most, -1).Filter(func(s string) bool {
		return len(s) >= least && strings.TrimSpace(s) == s && strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) < 0
	})
}

func payments() *rapid.Generator[paymentfile.Payment] {
	return rapid.Custom(func(t *rapid.T) paymentfile.Payment {
		return paymentfile.Payment{
			Reference: texts(1, 128).Draw(t, "reference"), CustomerID: texts(1, 128).Draw(t, "customer"),
			PaymentMethod: texts(1, 128).Draw(t, "method"),
			Amount: money.Amount{
				Currency: rapid.SampledFrom([]money.Currency{"EUR", "JPY", "KWD", "CLF"}).Draw(t, "currency"),
				Minor:    rapid.Int64Min(1).Draw(t, "minor"),
			},
			Description: texts(0, 500).Draw(t, "description"), CardScheme: texts(0, 32).Draw(t, "scheme"),
		}
	})
}

func TestRead_GivesBackThePaymentsThatWereWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(payments(), 1, 20).Draw(rt, "payments")
		inCSV, inJSON := heading, ""
		for _, p := range want {
			inCSV += csvRow(t, valuesOf(p))
			inJSON += jsonRow(t, valuesOf(p))
		}
		for first, file := range map[int]string{2: inCSV, 1: inJSON} {
			for i := range want {
				want[i].Line = first + i
			}
			got := read(strings.NewReader(file), paymentfile.Options{})
			if diff := cmp.Diff(want, got.payments); diff != "" || got.rejections != nil || got.err != nil {
				rt.Fatalf("rejections %v, error %v, payments (-want +got):\n%s", got.rejections, got.err, diff)
			}
		}
	})
}

// accounted checks what is true of every file: each row is one payment that reads back as it is, or one rejection that
// can be stored; and it gives their number.
func accounted(t *testing.T, r io.Reader, format paymentfile.Format) (rows int, failed error) {
	t.Helper()
	last := 0
	for row, err := range paymentfile.Read(r, paymentfile.Options{Format: format}) {
		if err != nil {
			return rows, err
		}
		rows++
		line := row.Payment.Line
		if rejection := row.Rejection; rejection != nil {
			line = rejection.Line
			for _, text := range []string{rejection.Raw, rejection.Field, rejection.Text} {
				if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
					t.Fatalf("%+v cannot be stored", rejection)
				}
			}
			if rejection.Reason == "" || rejection.Text == "" || len(rejection.Raw) > 200 || row.Payment != (paymentfile.Payment{}) {
				t.Fatalf("a rejection of %+v with %+v", row.Payment, rejection)
			}
		} else {
			readsBack(t, row.Payment)
		}
		if line <= last {
			t.Fatalf("line %d came after line %d", line, last)
		}
		last = line
	}
	return rows, nil
}

func readsBack(t *testing.T, p paymentfile.Payment) {
	t.Helper()
	for line, file := range map[int]string{2: heading + csvRow(t, valuesOf(p)), 1: jsonRow(t, valuesOf(p))} {
		p.Line = line
		got := read(strings.NewReader(file), paymentfile.Options{})
		if diff := cmp.Diff([]paymentfile.Payment{p}, got.payments); diff != "" || got.err != nil {
			t.Fatalf("rejections %v, error %v, payment read back (-want +got):\n%s", got.rejections, got.err, diff)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("a,c,p,12.50,EUR,\"x\"\"y\",visa\nb,c,p,1e3,eur,,\n\n\"b\",c,p,1,JPY,\"\n\",\n")
	f.Add("a\"b\n\"c\"d,\x00\n\"\xff\",")
	f.Fuzz(func(t *testing.T, body string) {
		file := heading + body
		rows, err := accounted(t, strings.NewReader(file), paymentfile.CSV)
		if err != nil {
			return
		}
		theirs := csv.NewReader(strings.NewReader(file))
		theirs.FieldsPerRecord = -1
		want := -1 // the heading
		for {
			if _, err := theirs.Read(); errors.Is(err, io.EOF) {
				break
			}
			want++
		}
		if rows != want {
			t.Fatalf("%d rows were told of, the file has %d", rows, want)
		}
	})
}

func FuzzJSONLines(f *testing.F) {
	f.Add(`{"reference":"a","customer_id":"c","payment_method":"p","amount":"12.50","currency":"EUR","description":"x"}` + "\n\n{}\n")
	f.Add("\ufeff{\"reference\":\"\\ud83d\xff\"}\r\n[\n{\"amount\":1}")
	f.Fuzz(func(t *testing.T, file string) {
		rows, err := accounted(t, strings.NewReader(file), paymentfile.JSONLines)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for line := range strings.Lines(strings.TrimPrefix(file, "\ufeff")) {
			if strings.TrimSpace(line) != "" {
				want++
			}
		}
		if rows != want {
			t.Fatalf("%d rows were told of, the file has %d", rows, want)
		}
	})
}

// repeated is a stream of a heading and the same rows again and again, up to a number of bytes.
type repeated struct {
	heading, rows string
	left, at      int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left <= 0 && r.at == 0 {
		return 0, io.EOF
	}
	if r.heading != "" {
		n := copy(p, r.heading)
		r.heading = r.heading[n:]
		return n, nil
	}
	n := copy(p, r.rows[r.at:])
	r.at = (r.at + n) % len(r.rows)
	r.left -= n
	return n, nil
}

// heapInUse is the memory that live and not yet collected objects take, in bytes.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Not parallel: other tests' memory would be counted with it.
func TestRead_TakesNoMoreMemoryForALargeFile(t *testing.T) {
	const size, bound = 200 << 20, 24 << 20
	note := strings.Repeat("what nobody asked for ", 200)
	for name, stream := range map[string]*repeated{
		"CSV": {
			heading: "note," + heading, rows: note + "," + csvRow(t, valid), left: size,
		},
		"JSON Lines": {rows: strings.Repeat(jsonRow(t, with(map[string]string{"description": strings.Repeat("x", 500)})), 10), left: size},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.GC()
			before, peak, rows := heapInUse(), uint64(0), 0
			kept := make([]paymentfile.Payment, 10_000) // a service gathers payments: these must not hold their rows
			for row, err := range paymentfile.Read(stream, paymentfile.Options{}) {
				if err != nil || row.Rejection != nil {
					t.Fatalf("rejection %v, error %v", row.Rejection, err)
				}
				kept[rows%len(kept)] = row.Payment
				if rows++; rows%10_000 == 0 {
					runtime.GC() // what is garbage by then depends on how busy the machine is
					peak = max(peak, heapInUse())
				}
			}
			if rows < 40_000 || peak > before+bound {
				t.Errorf("%d rows took %d MiB more at most, want less than %d MiB", rows, (peak-before)>>20, bound>>20)
			}
			runtime.KeepAlive(kept)
		})
	}
}

func BenchmarkRead(b *testing.B) {
	const rows = 10_000
	for name, file := range map[string]string{"CSV": heading, "JSONLines": ""} {
		for i := range rows {
			values := with(map[string]string{"reference": fmt.Sprintf("inv-2026-%06d", i), "customer_id": fmt.Sprintf("cus_%06d", i)})
			if name == "CSV" {
				file += csvRow(b, values)
			} else {
				file += jsonRow(b, values)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if got := countPayments(b, file); got != rows {
					b.Fatalf("read %d payments", got)
				}
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func countPayments(b *testing.B, file string) (payments int) {
	b.Helper()
	for row, err := range paymentfile.Read(strings.NewReader(file), paymentfile.Options{}) {
		if err != nil {
			b.Fatal(err)
		}
		if row.Rejection == nil {
			payments++
		}
	}
	return payments
}
