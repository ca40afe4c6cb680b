package formats_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// bai2 is a file with all that the format can have: a 03 and a 16 that go on in their middle, each type of funds, several
// records on a line, text with commas and slashes and over several lines, a message, and padding.
const bai2 = "\ufeff01,SENDER,US,240301,0700,7,80,1,2/      \r\n" +
	`02,US,SENDER,1,240229,2400,EUR,2/
03,00 12 34,,010,+10000,,,015,9150,,/
88,100,1500,3/
88,,400,2350,2,Z,040,5000,,S,1,2,3,045,1,,D,2,0,1,1,2/
16,142,00001000,Z,0012,0,AN/OTHER, LTD/ACME  PPD/   16,195,300,V,240301,,WIRE1,INV-7/
88,INVOICE 7
 PAID BY 4/5 /
16,557,2000,S,1000,,1000,,,/
16,890,,,,,no reports on Monday/
16,115,200,D,2,0,100/
88,1,100,BOX,,LOCK
88,BOX/ 88,(NORTH)/
16,698,350,0,000,00,Geb` + "\xfc" + `hr
49,31851,14/
03,77,GBP/
49,0,2/
98,31851,2,18/
02,US,SENDER,1,991231,,,3/
03,X,,010,,,/
16,175,100,1,,,/
49,100,3/
98,100,1,5/
99,31951,2,25/
`

func TestBAI2_IsReadInAllItsForms(t *testing.T) {
	t.Parallel()
	want := []string{
		"3: statement 240301-7 001234 EUR opens with 100.00 EUR on 2024-02-29",
		"6: line 1 transfer(142) 10.00 EUR 2024-02-29 id=0012 text=AN/OTHER, LTD/ACME PPD",
		"6: line 2 transfer(195) 3.00 EUR 2024-02-29 value 2024-03-01 id=WIRE1 reference=INV-7 text=INVOICE 7 PAID BY 4/5",
		"9: line 3 return(557) -20.00 EUR 2024-02-29",
		"11: line 4 transfer(115) 2.00 EUR 2024-02-29 id=BOX text=LOCK BOX (NORTH)",
		"14: line 5 fee(698) -3.50 EUR 2024-02-29 text=Gebühr",
		"line 3: balance holds: 91.50 EUR",
		"line 3: sum holds: 15.00 EUR",
		"line 3: count holds: 3 credits",
		"line 3: sum holds: 23.50 EUR",
		"line 3: count holds: 2 debits",
		"line 15: account_total holds: 318.51 EUR", // 280.01 of the 03, 38.50 of its lines
		"line 15: account_total holds: 14 records",
		"closed with 5 lines, last true, 91.50 EUR on 2024-02-29",
		"16: statement 240301-7 77 GBP",
		"line 17: account_total holds: 0.00 GBP",
		"line 17: account_total holds: 2 records",
		"closed with 0 lines, last true",
		"line 18: group_total holds: 31851",
		"line 18: group_total holds: 2 accounts",
		"line 18: group_total holds: 18 records",
		"20: statement 240301-7 X USD",
		"21: line 1 transfer(175) 1.00 USD 1999-12-31 pending",
		"line 22: account_total holds: 1.00 USD",
		"line 22: account_total holds: 3 records",
		"closed with 1 lines, last true",
		"line 23: group_total holds: 100",
		"line 23: group_total holds: 1 accounts",
		"line 23: group_total holds: 5 records",
		"line 24: file_total holds: 31951",
		"line 24: file_total holds: 2 groups",
		"line 24: file_total holds: 25 records",
	}
	for _, file := range []io.Reader{strings.NewReader(bai2), iotest.OneByteReader(strings.NewReader(bai2))} {
		said, err := transcript(file, formats.Options{})
		if diff := cmp.Diff(want, said); diff != "" || err != nil {
			t.Errorf("error %v, said (-want +got):\n%s", err, diff)
		}
	}
}

// bai2File is a file of one account with some records, whose trailers state nothing that is true.
func bai2File(records string) string {
	return "01,S,R,240301,0700,7,,,2/\n02,R,S,1,240229,,EUR,2/\n" + records + "49,1,1/\n98,1,1,1/\n99,1,1,1/\n"
}

// failing are the proofs of a transcript that do not hold.
func failing(said []string) (proofs []string) {
	for _, line := range said {
		if strings.Contains(line, "the file states") {
			proofs = append(proofs, line)
		}
	}
	return proofs
}

func TestBAI2_ProvesWhatItStates(t *testing.T) {
	t.Parallel()
	file := bai2File("03,1,,010,100,,,015,-200,,,100,30,2,,400,40,2,/\n16,142,20,,,,/\n16,451,50,,,,/\n")
	said, err := transcript(strings.NewReader(file), formats.Options{})
	want := []string{
		"line 3: balance: the file states -2.00 EUR, its lines come to 0.70 EUR",
		"line 3: sum: the file states 0.30 EUR, its lines come to 0.20 EUR",
		"line 3: count: the file states 2 credits, its lines come to 1 credits",
		"line 3: sum: the file states 0.40 EUR, its lines come to 0.50 EUR",
		"line 3: count: the file states 2 debits, its lines come to 1 debits",
		"line 6: account_total: the file states 0.01 EUR, its lines come to 0.40 EUR",
		"line 6: account_total: the file states 1 records, its lines come to 4 records",
		"line 7: group_total: the file states 1, its lines come to 40",
		"line 7: group_total: the file states 1 records, its lines come to 6 records",
		"line 8: file_total: the file states 1, its lines come to 40",
		"line 8: file_total: the file states 1 records, its lines come to 8 records",
	}
	if diff := cmp.Diff(want, failing(said)); diff != "" || err != nil {
		t.Errorf("error %v, proofs that do not hold (-want +got):\n%s", err, diff)
	}
}

func TestBAI2_TakesTheCurrencyThatIsNearest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ account, group, given, want string }{
		"the account's":    {"JPY", "EUR", "GBP", "JPY"},
		"the group's":      {"", "EUR", "GBP", "EUR"},
		"what it is given": {"", "", "GBP", "GBP"},
		"dollars":          {"", "", "", "USD"},
	} {
		file := fmt.Sprintf("01,S,R,240301,0700,7,,,2/\n02,R,S,1,240229,,%s,2/\n03,1,%s/\n49,0,2/\n98,0,1,4/\n99,0,1,6/", test.group, test.account)
		said, err := transcript(strings.NewReader(file), formats.Options{Currency: money.Currency(test.given)})
		if want := "3: statement 240301-7 1 " + test.want; err != nil || said[0] != want {
			t.Errorf("%s: error %v, got %q, want %q", name, err, said, want)
		}
	}
}

func TestBAI2_TakesSeveralFilesInOne(t *testing.T) {
	t.Parallel()
	one := strings.TrimPrefix(bai2, "\ufeff")
	said, err := transcript(strings.NewReader(one+strings.ReplaceAll(one, "240301,0700,7", "240302,0700,8")), formats.Options{Format: formats.BAI2})
	if err != nil || len(failing(said)) > 0 || !strings.HasPrefix(said[len(said)/2], "27: statement 240302-8 001234") {
		t.Errorf("error %v, said %s", err, strings.Join(said, "\n"))
	}
}

func TestBAI2_NamesLineAndFieldOfWhatItCannotRead(t *testing.T) {
	t.Parallel()
	const header, group, account = "01,S,R,240301,0700,7,,,2/\n", "02,R,S,1,240229,,EUR,2/\n", "03,1,,/\n"
	for file, want := range map[string]string{
		"":                                   `f: the file ends without the record 99 that ends it`,
		header:                               `f:1: the file ends without the record 99 that ends it`,
		"00,S,R,06/0321,0829,001,80,1,2/":    `f:1: "00,S,R,06/0321,0829," is no record: it does not begin with the code of one and a comma`,
		"02,S/":                              `f:1: the record 02 cannot stand here: expected is [01]`,
		"88,S/":                              `f:1: the record 88 continues nothing`,
		"01,S,R,240301,0700,7,,,2":           `f:1: 01: does not end in a slash`,
		"01,S,R,240230,0700,7,,,2/\n99,":     `f:1: 01 file creation date: "240230" is no date`,
		"01,S,R,240301,0700,,,,2/\n99,":      `f:1: 01 file identification number: is empty`,
		"01,S,R,240301,0700,7,,,3/\n99,":     `f:1: 01 version number: is "3", and not 2`,
		header + "02,R,S,,240301,/\n98,":     `f:2: 02 group status: "" is none of 1, 2, 3 and 4`,
		header + "02,R,S,1,,/\n98,":          `f:2: 02 as-of date: "" is no date`,
		header + "02,R,S,1,240301,,EU/ 98,":  `f:2: 02 currency: unknown currency: "EU" is not an ISO 4217 code`,
		header + "02,R,S,1,240301,,,5/ 98,":  `f:2: 02 as-of-date modifier: "5" is none of 1, 2, 3 and 4`,
		header + group + header:              `f:3: the record 01 cannot stand here: expected is [03 98]`,
		header + group + "03,,/ 49,":         `f:3: 03 account: is empty`,
		header + group + "03,1,,10,5/ 49,":   `f:3: 03 type: "10" is no type code of three digits`,
		header + group + "03,1,,,5/ 49,":     `f:3: 03 type: is empty`,
		bai2File("03,1,,010,1.00,,/\n"):      `f:3: 03 amount of type 010: "1.00" is no whole number`,
		bai2File("03,1,,100,1,x,/\n"):        `f:3: 03 item count of type 100: "x" is no whole number`,
		bai2File("03,1,,010,1,,,010,1,,/\n"): `f:3: 03 type: 010 is there twice`,
		bai2File("03,1,,010,1,,Q/\n"):        `f:3: 03 funds: funds type "Q" is none of 0, 1, 2, S, V, D and Z`,
		bai2File("03,1,,010,1,,D/\n"):        `f:3: 03 funds: of type D does not say how many days it is distributed over`,
		bai2File("03,1,,010,1,,S,1,b,2/\n"):  `f:3: 03 funds: "b" is no whole number`,
		bai2File("03,1,,010," + maxInt + ",,,015," + maxInt + ",,/\n"):                                 `f:3: 03 amount: amount out of range: the sum of amounts`,
		bai2File(account + "16,,1,,,,/\n"):                                                             `f:4: 16 type: is empty`,
		bai2File(account + "16,100,1,,,,/\n"):                                                          `f:4: 16 type: 100 is neither a credit nor a debit`,
		bai2File(account + "16,721,1,,,,/\n"):                                                          `f:4: 16 type: 721 is neither a credit nor a debit`,
		bai2File(account + "16,142,,,,,/\n"):                                                           `f:4: 16 amount: is empty`,
		bai2File(account + "16,142,-1,,,,/\n"):                                                         `f:4: 16 amount: has a sign, but its type says which way it goes`,
		bai2File(account + "16,142,1e3,,,,/\n"):                                                        `f:4: 16 amount: "1e3" is no whole number`,
		bai2File(account + "16,142,1,V,240231,,,,/\n"):                                                 `f:4: 16 funds: "240231" is no date`,
		bai2File(account + "16,142,1,D,-1,,,/\n"):                                                      `f:4: 16: funds type D is distributed over "-1" days`,
		bai2File(account + "16,142,1,X,,/\n"):                                                          `f:4: 16: funds type "X" is none of 0, 1, 2, S, V, D and Z`,
		bai2File(account + "16,890,5,,,,/\n"):                                                          `f:4: 16 amount: "5" of type 890, which moves no money`,
		bai2File(account + "16,142,1,,,,TEXT/\nMORE\n"):                                                `f:5: "MORE" is no record: it does not begin with the code of one and a comma`,
		header + "02,R,S,3,240229,,EUR,2/\n" + account + "16,142,1,,,,/ 49,":                           `f:4: 16 type: its group has status 3: it is no update, and cannot be counted`,
		header + group + account + "49,,2/ 98,":                                                        `f:4: 49 control total: is empty`,
		header + group + account + "49,0,two/ 98,":                                                     `f:4: 49 number of records: "two" is no whole number`,
		header + group + account + "49,0,2/\n" + "99,0,1,6/":                                           `f:5: the record 99 cannot stand here: expected is [03 98]`,
		bai2File(account) + "x":                                                                        `f:7: "x" is no record: it does not begin with the code of one and a comma`,
		header + strings.Repeat(" ", 2<<20):                                                            `f:2: is longer than 1048576 bytes`,
		bai2File(account + "16,142,1,,,,A\n" + strings.Repeat(strings.Repeat("x", 1<<10)+"\n", 1<<10)): `f:1028: 16: is longer than 1048576 bytes`,
	} {
		said, err := transcript(strings.NewReader(file), formats.Options{Name: "f", Format: formats.BAI2})
		if _, named := errors.AsType[*formats.Error](err); !named || err.Error() != want {
			t.Errorf("%.200q:\ngot  %v\nwant %s", file, err, want)
		}
		if strings.Contains(strings.Join(said, "\n"), "file_total") && !strings.HasSuffix(file, "x") {
			t.Errorf("%.200q: it went on behind its error", file)
		}
	}
}

// maxInt is the largest amount there is.
const maxInt = "9223372036854775807"

func TestBAI2_TakesPaddedRecordsThatNoLineEnds(t *testing.T) {
	t.Parallel()
	lines := bai2File("03,1,,010,100,,/\n88,100,20,1,/\n16,142,20,,,,A/B/\n88,C/\n")
	var records strings.Builder
	for line := range strings.Lines(lines) {
		fmt.Fprintf(&records, "%-80s", strings.TrimSuffix(line, "\n"))
	}
	got, err := transcript(strings.NewReader(records.String()), formats.Options{})
	want, err2 := transcript(strings.NewReader(lines), formats.Options{})
	at := regexp.MustCompile(`^(line )?\d+`)
	for i := range min(len(want), len(got)) {
		want[i], got[i] = at.ReplaceAllString(want[i], ""), at.ReplaceAllString(got[i], "")
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || err2 != nil {
		t.Errorf("errors %v and %v, said (-want +got):\n%s", err, err2, diff)
	}
}

func TestBAI2_TellsAnErrorOfTheStream(t *testing.T) {
	t.Parallel()
	cut := errors.New("connection lost")
	_, err := transcript(io.MultiReader(strings.NewReader(bai2[:500]), iotest.ErrReader(cut)), formats.Options{Format: formats.BAI2})
	if _, named := errors.AsType[*formats.Error](err); named || !errors.Is(err, cut) {
		t.Errorf("got %v, want the stream's error", err)
	}
}

func TestBAI2_StopsWhenNobodyReadsOn(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		n := 0
		for range formats.Read(strings.NewReader(bai2), formats.Options{}) {
			if n++; n > i {
				break
			}
		}
	}
}

func TestBAI2_Samples(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		statements, lines, proofs int
		failing                   []string
	}{
		"sample1.txt": {2, 17, 18, nil},
		// An example of the specification: it states totals of more than it has transactions of. All that it counts is right.
		"sample2.txt": {5, 4, 29, []string{
			"line 7: sum: the file states 10000.00 USD, its lines come to 5000.00 USD",
			"line 7: sum: the file states 20000.00 USD, its lines come to 0.00 USD",
			"line 14: sum: the file states 600000.00 USD, its lines come to 300000.00 USD",
			"line 14: sum: the file states 500000.00 USD, its lines come to 0.00 USD",
		}},
		"sample3.txt": {15, 26, 111, nil},
	} {
		said, err := transcript(bytes.NewReader(sample(t, "bai2", name)), formats.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		count := map[string]int{}
		for _, line := range said {
			for _, word := range []string{": statement ", ": line ", " holds: ", "the file states "} {
				if strings.Contains(line, word) {
					count[word]++
				}
			}
		}
		if count[": statement "] != want.statements || count[": line "] != want.lines || count[" holds: "]+count["the file states "] != want.proofs {
			t.Errorf("%s: got %v, want %+v", name, count, want)
		}
		if diff := cmp.Diff(want.failing, failing(said)); diff != "" {
			t.Errorf("%s: proofs that do not hold (-want +got):\n%s", name, diff)
		}
	}
	_, err := transcript(bytes.NewReader(sample(t, "bai2", "sample-parseError.txt")), formats.Options{Name: "f", Format: formats.BAI2})
	if want := `f:1: "00,0004,1/2/345,06/0" is no record: it does not begin with the code of one and a comma`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// FuzzBAI2 has no file make the reader panic, lose a closing, or fail without saying where.
func FuzzBAI2(f *testing.F) {
	f.Add([]byte(bai2))
	f.Add([]byte(bai2File("03,1,,010,100,,,015,-200,,,100,30,2,,400,40,2,/\n16,142,20,,,,/\n16,451,50,V,240301,,,,A/B/ 49,1,1/\n")))
	f.Fuzz(func(t *testing.T, file []byte) { checkRead(t, file, formats.Options{Name: "f", Format: formats.BAI2}) })
}

// BenchmarkBAI2 reads transactions of a line each.
func BenchmarkBAI2(b *testing.B) {
	const lines = 20_000
	file := bai2File("03,1,,/\n" + strings.Repeat("16,142,000000012550,Z,202403010000123,INV-2024-000123,ACH CREDIT ACME CORP  PPD/\n", lines))
	benchmarkRead(b, file, lines, formats.Options{Format: formats.BAI2})
}
