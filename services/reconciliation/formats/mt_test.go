package formats_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// mtFile is everything that a file said.
type mtFile struct {
	parts      []formats.Part
	statements []*formats.Statement
	lines      []*formats.Line
	proofs     []*formats.Proof
	closings   []*formats.Closing
	err        error
}

func readMT(in io.Reader, o formats.Options) (f mtFile) {
	for part, err := range formats.Read(in, o) {
		switch {
		case err != nil:
			f.err = err
			continue
		case part.Statement != nil:
			f.statements = append(f.statements, part.Statement)
		case part.Line != nil:
			f.lines = append(f.lines, part.Line)
		case part.Proof != nil:
			f.proofs = append(f.proofs, part.Proof)
		case part.Closing != nil:
			f.closings = append(f.closings, part.Closing)
		}
		f.parts = append(f.parts, part)
	}
	return f
}

func readMT940(text string) mtFile {
	return readMT(strings.NewReader(text), formats.Options{Name: "a.sta", Format: formats.MT940})
}

// failing are the proofs that do not hold, as text.
func (f mtFile) failing() (failing []string) {
	for _, p := range f.proofs {
		if !p.Holds() {
			failing = append(failing, p.String())
		}
	}
	return failing
}

// transcript is what a file says, for people.
func (f mtFile) transcript() string {
	var b strings.Builder
	for _, p := range f.parts {
		switch {
		case p.Statement != nil:
			s := p.Statement
			fmt.Fprintf(&b, "%d statement %q account %s %s number %d page %d", s.At, s.ID, s.Account, s.Currency, s.Sequence, s.Page)
			if s.Opening != nil {
				fmt.Fprintf(&b, " opens %s", mtBalance(s.Opening))
			}
			b.WriteByte('\n')
		case p.Line != nil:
			writeMTLine(&b, p.Line)
		case p.Proof != nil:
			fmt.Fprintf(&b, "%s\n", p.Proof)
		case p.Closing != nil:
			fmt.Fprintf(&b, "closing of %d lines, last %t", p.Closing.Lines, p.Closing.Last)
			if p.Closing.Balance != nil {
				fmt.Fprintf(&b, ", closes %s", mtBalance(p.Closing.Balance))
			}
			b.WriteByte('\n')
		}
	}
	if f.err != nil {
		fmt.Fprintf(&b, "error: %v\n", f.err)
	}
	return b.String()
}

func mtBalance(b *formats.Balance) string {
	return fmt.Sprintf("on line %d with %s on %s", b.At, b.Amount, b.Date.Format("2006-01-02"))
}

func writeMTLine(b *strings.Builder, l *formats.Line) {
	fmt.Fprintf(b, "  %d #%d %s %s %s", l.At, l.Number, l.Kind, l.Code, l.Amount)
	fmt.Fprintf(b, " booked %s value %s", l.Booked.Format("2006-01-02"), l.Value.Format("2006-01-02"))
	if l.Pending {
		b.WriteString(" pending")
	}
	if l.Reversal {
		b.WriteString(" reversal")
	}
	b.WriteByte('\n')
	for _, value := range []struct{ name, text string }{
		{"id", l.ID}, {"key", l.Key}, {"reference", l.Reference}, {"party", l.Party}, {"account", l.PartyAccount}, {"text", l.Text},
	} {
		if value.text != "" {
			fmt.Fprintf(b, "      %s %q\n", value.name, value.text)
		}
	}
}

func TestMT_ReadsAsTheTranscriptSays(t *testing.T) {
	t.Parallel()
	for name, format := range map[string]formats.Format{
		"german": formats.MT940, "dutch": formats.MT940, "plain": formats.MT940, "interim": formats.MT942,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", "mt940", name)
			in, err := os.Open(path + ".sta")
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			want, err := os.ReadFile(path + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			got := readMT(in, formats.Options{Name: name, Format: format})
			if diff := cmp.Diff(string(want), got.transcript()); diff != "" {
				t.Errorf("transcript (-want +got):\n%s\nall of it:\n%s", diff, got.transcript())
			}
		})
	}
}

// TestMT_ReadsWhatBanksSend reads the samples of other parsers' suites; testdata/mt940 has twins of what is special in them.
func TestMT_ReadsWhatBanksSend(t *testing.T) {
	t.Parallel()
	const folder = "../../../../shared/data/statements/mt940"
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("the samples are not beside the checkout: %v", err)
	}
	tests := map[string]struct {
		statements, lines, proofs int
		failing                   []string
		err                       string
	}{
		"sepa_mt9401.sta": {statements: 26, lines: 97, proofs: 32},
		"asnb.txt":        {statements: 31, lines: 8, proofs: 61},
		"cmxl.sta":        {statements: 3, lines: 16, proofs: 3},
		"ing.sta": {statements: 1, lines: 7, proofs: 5, failing: []string{
			"line 26: balance: the file states 3.47 EUR, its lines come to -45.59 EUR",
			"line 27: count: the file states 4, its lines come to 5",
			"line 27: sum: the file states 25.24 EUR, its lines come to 50.27 EUR",
			"line 27: sum: the file states 28.71 EUR, its lines come to 4.68 EUR",
		}},
		"february_30.sta": {statements: 1, lines: 1, proofs: 1},
		"malformed_details.sta": {statements: 1, lines: 1, proofs: 1, failing: []string{
			"line 15: balance: the file states 12345.98 EUR, its lines come to 12111.97 EUR",
		}},
		"multiline.sta":           {statements: 1, lines: 1, proofs: 1, err: "multiline.sta:38: :61:: belongs to no statement"},
		"empty_86.sta":            {err: "empty_86.sta:1: :86:: belongs to no statement"},
		"missing_crlf_at_end.sta": {err: "missing_crlf_at_end.sta:1: :62F:: belongs to no statement"},
		"amount_formats.sta":      {err: "amount_formats.sta:1: :25:: is missing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, err := os.Open(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			got := readMT(in, formats.Options{Name: name, Format: formats.MT940})
			if len(got.statements) != tt.statements || len(got.lines) != tt.lines || len(got.proofs) != tt.proofs {
				t.Errorf("%d statements, %d lines, %d proofs; want %d, %d, %d",
					len(got.statements), len(got.lines), len(got.proofs), tt.statements, tt.lines, tt.proofs)
			}
			if diff := cmp.Diff(tt.failing, got.failing()); diff != "" {
				t.Errorf("proofs that fail (-want +got):\n%s", diff)
			}
			if text := fmt.Sprint(got.err); text != tt.err && (tt.err != "" || got.err != nil) {
				t.Errorf("error %v, want %s", got.err, tt.err)
			}
		})
	}
}

// mtWrong is a file that cannot be read, and what is said of it.
type mtWrong struct {
	text, field string
	line        int
	is          error
}

const mtHead, mtOpening = ":20:A\n:25:B\n", ":20:A\n:25:B\n:28C:1/1\n:60F:C240101EUR1,00\n"

var mtWrongOrder = map[string]mtWrong{
	"nothing":                        {"", "", 0, nil},
	"nothing of the format":          {"hello\n\nworld", "", 0, nil},
	"no account":                     {":20:A\n:60F:C240101EUR1,00\n", ":25:", 2, nil},
	"no opening balance":             {mtHead + ":61:240101D1,NTRF\n", ":60F:", 3, nil},
	"a message without balances":     {mtHead + "-\n", ":60F:", 2, nil},
	"no closing balance":             {mtOpening + ":61:240101D1,NTRF\n", ":62F:", 4, nil},
	"no closing balance before -":    {mtOpening + "-\n", ":62F:", 4, nil},
	"no closing balance before :20:": {mtOpening + ":20:A\n", ":62F:", 4, nil},
	"cut off in a text":              {mtOpening + ":61:240101D1,NTRF\n:86:text\n-\n" + mtOpening, ":62F:", 4, nil},
	"cut off before a block":         {mtOpening + ":61:240101D1,NTRF\n:86:text\n-}{5:}\n", ":62F:", 4, nil},
	"two openings":                   {mtOpening + ":60F:C240101EUR1,00\n", ":62F:", 4, nil},
	"two closings":                   {mtOpening + ":62F:C240101EUR1,00\n:62F:C240101EUR1,00\n", ":62F:", 6, nil},
	"a line behind the closing":      {mtOpening + ":62F:C240101EUR1,00\n:61:240101D1,NTRF\n", ":61:", 6, nil},
	"a line outside":                 {mtOpening + ":62F:C240101EUR1,00\n-\n:61:240101D1,NTRF\n", ":61:", 7, nil},
	"a closing outside":              {":62F:C240101EUR1,00\n-", ":62F:", 1, nil},
	"a closing in another currency":  {mtOpening + ":62F:C240101USD1,00\n", ":62F:", 5, nil},
}

var mtWrongValues = map[string]mtWrong{
	"an unknown currency":         {mtHead + ":60F:C240101XYZ1,00\n", ":60F:", 3, money.ErrUnknownCurrency},
	"no currency":                 {mtHead + ":60F:C2401011,00\n", ":60F:", 3, nil},
	"no mark":                     {mtHead + ":60F:240101EUR1,00\n", ":60F:", 3, nil},
	"an empty balance":            {mtHead + ":60F:\n", ":60F:", 3, nil},
	"a damaged balance":           {mtHead + ":60F:C240101EURO1,00\n", ":60F:", 3, nil},
	"too many decimals":           {mtHead + ":60F:C240101EUR1,001\n", ":60F:", 3, money.ErrTooManyDecimals},
	"decimals of yen":             {mtHead + ":60F:C240101JPY1,5\n", ":60F:", 3, money.ErrTooManyDecimals},
	"too much":                    {mtHead + ":60F:C240101EUR92233720368547758,08\n", ":60F:", 3, money.ErrOverflow},
	"too much together":           {strings.Replace(mtOpening, "1,00", "92233720368547758,07", 1) + ":61:240101C0,01NTRF\n:62F:C240101EUR1,\n", ":62F:", 6, money.ErrOverflow},
	"a sum too large":             {mtOpening + ":61:240101C92233720368547758,07NTRF\n:61:240101C0,01NTRF\n", ":61:", 6, money.ErrOverflow},
	"a point for a comma":         {mtOpening + ":61:240101D1.00NTRF\n", ":61:", 5, nil},
	"a month 13":                  {mtOpening + ":61:241301D1,NTRF\n", ":61:", 5, nil},
	"a day 32":                    {mtOpening + ":61:240132D1,NTRF\n", ":61:", 5, nil},
	"a day 0":                     {mtOpening + ":61:240100D1,NTRF\n", ":61:", 5, nil},
	"an entry date of month 13":   {mtOpening + ":61:2401011301D1,NTRF\n", ":61:", 5, nil},
	"half an entry date":          {mtOpening + ":61:24010112D1,NTRF\n", ":61:", 5, nil},
	"no date":                     {mtOpening + ":61:2401\n", ":61:", 5, nil},
	"no direction":                {mtOpening + ":61:2401011,NTRF\n", ":61:", 5, nil},
	"no amount":                   {mtOpening + ":61:240101DNTRF\n", ":61:", 5, money.ErrSyntax},
	"an amount of a comma":        {mtOpening + ":61:240101D,NTRF\n", ":61:", 5, money.ErrSyntax},
	"another type":                {mtOpening + ":61:240101D1,XTRF\n", ":61:", 5, nil},
	"half a type":                 {mtOpening + ":61:240101D1,NT\n", ":61:", 5, nil},
	"a type of signs":             {mtOpening + ":61:240101D1,N//3\n", ":61:", 5, nil},
	"no number":                   {mtHead + ":28C:one\n", ":28C:", 3, nil},
	"a number too large":          {mtHead + ":28C:99999999999999999999\n", ":28C:", 3, nil},
	"a floor without currency":    {mtHead + ":34F:E\n", ":34F:", 3, nil},
	"a total without number":      {mtHead + ":34F:EUR0,\n:90D:EUR1,00\n", ":90D:", 4, nil},
	"a total in another currency": {mtHead + ":34F:EUR0,\n:90D:1USD1,00\n", ":90D:", 4, nil},
	"an empty total":              {mtHead + ":34F:EUR0,\n:90C:\n", ":90C:", 4, nil},
	"totals without end":          {mtHead + ":34F:EUR0,\n" + strings.Repeat(":90C:0EUR0,\n", 5), ":90C:", 8, nil},
	"a text without statement":    {":86:091\n-", ":86:", 1, nil},
	"a text without end":          {mtOpening + ":61:240101D1,NTRF\n:86:" + strings.Repeat("0123456789abcde\n", 1<<13), ":86:", 6, nil},
	"texts without end":           {mtOpening + ":61:240101D1,NTRF\n" + strings.Repeat(":86:0123456789abcde\n", 1<<13), ":86:", 4102, nil},
	"a line without end":          {mtHead + strings.Repeat("0123456789abcdef", 1<<13), ":25:", 3, nil},
}

func TestMT_SaysWhereAFileIsNotWhole(t *testing.T) {
	t.Parallel()
	checkMTWrong(t, mtWrongOrder)
}

func TestMT_SaysWhatIsNoValue(t *testing.T) {
	t.Parallel()
	checkMTWrong(t, mtWrongValues)
}

func checkMTWrong(t *testing.T, tests map[string]mtWrong) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := readMT940(tt.text)
			wrong, is := errors.AsType[*formats.Error](got.err)
			if !is || wrong.File != "a.sta" || wrong.Line != tt.line || wrong.Field != tt.field {
				t.Fatalf("error %v; want one about line %d, field %s", got.err, tt.line, tt.field)
			}
			if tt.is != nil && !errors.Is(wrong, tt.is) {
				t.Errorf("error %v; want %v", wrong, tt.is)
			}
			if len(got.err.Error()) > 250 {
				t.Errorf("an error of %d bytes", len(got.err.Error()))
			}
		})
	}
}

func TestMT_AnErrorOfTheStreamIsNotTheFiles(t *testing.T) {
	t.Parallel()
	broken := errors.New("the line is dead")
	in := io.MultiReader(strings.NewReader(":20:A\n:25:B\n:60F:C240101EUR1,00\n:62F:C240101EUR1,"), iotest.ErrReader(broken))
	got := readMT(in, formats.Options{Format: formats.MT940})
	if _, is := errors.AsType[*formats.Error](got.err); is || !errors.Is(got.err, broken) || len(got.closings) != 0 {
		t.Errorf("error %v, %d closings; want that of the stream", got.err, len(got.closings))
	}
}

func TestMT_StopsWhenNobodyReadsOn(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/mt940/german.sta")
	if err != nil {
		t.Fatal(err)
	}
	for stop := range 10 {
		seen := 0
		for _, err := range formats.Read(strings.NewReader(string(data)), formats.Options{Format: formats.MT940}) {
			if seen++; err != nil {
				t.Fatal(err)
			}
			if seen > stop {
				break
			}
		}
		if seen != stop+1 {
			t.Errorf("%d parts, want %d", seen, stop+1)
		}
	}
}

// mtStream is a statement without end; each of its lines has a text.
type mtStream struct {
	head, line string
	lines      int
	rest       string
}

func (s *mtStream) Read(p []byte) (int, error) {
	if s.rest == "" {
		switch {
		case s.head != "":
			s.rest, s.head = s.head, ""
		case s.lines > 0:
			s.rest, s.lines = s.line, s.lines-1
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func newMTStream(lines int) *mtStream {
	return &mtStream{lines: lines, head: ":20:A\n:25:50880050/0199000001\n:28C:1/1\n:60F:C240101EUR0,\n", line: mtEntryText}
}

const mtEntryText = `:61:2402290229CR199,NTRFNONREF//0724710345313901
:86:166?00GUTSCHRIFT?100399?20EREF+ord_0190f3c5a2b17c4d9e?216f0102030
405?22SVWZ+Danke fuer die Bestell?23ung 4711 mit drei Artikeln ?24und
Versand?30PBNKDEFF100?31DE42100100100043921105?32Richter Renate mit l
angem N?33amen
`

func TestMT_MemoryDoesNotGrowWithTheFile(t *testing.T) {
	const lines = 60_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, seen := heap(), 0
	for part, err := range formats.Read(newMTStream(lines), formats.Options{Format: formats.MT940}) {
		if err != nil {
			break // it never closes
		}
		if part.Line == nil {
			continue
		}
		if seen++; seen%(lines/4) == 0 {
			if grown := int64(heap()) - int64(before); grown > 1<<20 {
				t.Fatalf("behind %d lines the heap has grown by %d bytes", seen, grown)
			}
		}
	}
	if seen != lines {
		t.Errorf("%d lines, want %d", seen, lines)
	}
}

// BenchmarkMT reads a statement of structured lines, five physical lines each.
func BenchmarkMT(b *testing.B) {
	const lines = 20_000
	b.ReportAllocs()
	b.SetBytes(lines * int64(len(mtEntryText)))
	for b.Loop() {
		seen := 0
		for part, err := range formats.Read(newMTStream(lines), formats.Options{Format: formats.MT940}) {
			if err == nil && part.Line != nil {
				seen++
			}
		}
		if seen != lines {
			b.Fatalf("%d lines, want %d", seen, lines)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
