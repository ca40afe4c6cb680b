package formats_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tieout/tieout/services/reconciliation/formats"
)

const (
	camtDocument = `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">`
	mt940        = ":20:STARTUMS\r\n:25:123/456\r\n:28C:1/1\r\n:60F:C240301EUR1,00\r\n"
	mt942        = ":20:STARTUMS\r\n:25:123/456\r\n:28C:1/1\r\n:34F:EUR0,\r\n:13D:2403011200+0100\r\n"
)

func TestDetect_KnowsAFormatByHowItBegins(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]formats.Format{
		camtDocument: formats.Camt053,
		"\ufeff\r\n<?xml version='1.0' encoding=\"ISO-8859-15\"?>\n<!-- <Document> -->\n<?pi <x>?>" + camtDocument + "<BkToCstmrStmt>": formats.Camt053,
		`<n:Document xmlns:n="urn:iso:std:iso:20022:tech:xsd:camt.054.001.04" xmlns:x="camt.053."><n:BkToCstmrDbtCdtNtfctn>`:           formats.Camt054,
		"<Document><BkToCstmrStmt>":                             formats.Camt053,
		"<BkToCstmrDbtCdtNtfctn><BkToCstmrStmt>":                formats.Camt054,
		camtDocument + "<BkToCstmrStmt><BkToCstmrDbtCdtNtfctn>": formats.Camt053,
		camtDocument + strings.Repeat(" ", 70_000):              formats.Camt053,
		mt940:                            formats.MT940,
		mt942:                            formats.MT942,
		mt942 + ":61:2403\n:60F:C240301": formats.MT942,
		"\n0000 01INGBNL2AXXXX00001\n940 00\n" + mt940:                                 formats.MT940,
		"{1:F01ASNBNL21XXXX0000000000}{2:O940ASNBNL21XXXXN}{3:}{4:\n:20:0\n:25:NL81\n": formats.MT940,
		"{1:F01ASNBNL21XXXX0000000000}{2:I942ASNBNL21XXXXN}{4::20:0\n:25:NL81\n:61:":   formats.MT942,
		":20:1\n:25:1\n:62F:C240301EUR1,00\n-":                                         formats.MT940,
		"01,S,R,240301,0700,7,,,2/":                                                    formats.BAI2,
		"\ufeff 01,S,R,240301,0700,7,80,1,2/   02,":                                    formats.BAI2,
		stripe: formats.Stripe,
		"\"Reporting_Category\",balance_transaction_id,CREATED,currency,gross,fee,net\n": formats.Stripe,
	} {
		if got, known := formats.Detect([]byte(head), false); got != want || !known {
			t.Errorf("%.100q is %q, %t, want %q", head, got, known, want)
		}
		if got, known := formats.Detect([]byte(head), true); got != want || !known {
			t.Errorf("%.100q with a mapping is %q, %t, want %q", head, got, known, want)
		}
	}
}

func TestDetect_DoesNotGuess(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"", "\ufeff", " \r\n", "<", "<!--", "<?xml", "<Document>", "<Document><GrpHdr/>", "<html><BkToCstmrStmt>",
		`<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"><CstmrCdtTrfInitn>`,
		`<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.08"><BkToCstmrAcctRpt>`,
		`<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.08"><BkToCstmrStmt>`,
		camtDocument + "<BkToCstmrDbtCdtNtfctn>", camtDocument[:50], "<Document <Document>",
		"\xff\xfe<\x00D\x00", "\x00\x00\x00<",
		":20:1\n:25:1\n", ":20:1\n:61:2403\n:60F:C240301EUR1,00", ":20:1\n-\n:60F:C240301EUR1,00",
		mt942 + ":60F:C240301EUR1,00\n", "{2:O942ASNB}\n" + mt940, "{4:\n:20:\n", "{2:O940",
	} {
		for _, mapped := range []bool{false, true} {
			if got, known := formats.Detect([]byte(head), mapped); known || got != "" {
				t.Errorf("%.100q, mapped %t, is %q", head, mapped, got)
			}
		}
	}
	for _, head := range []string{
		"a,b\n1,2\n", "01,S,R,240301,0700,7,,,3/", "01,S,R,240301,0700,7,,,2", "01,S,R,240231,0700,7,,,2/", "01,02,03\n", "00,S/",
		"01,S,R,240301,0700,7,,,2,/", "01,S,R\n,240301,0700,7,,,2/", "id,gross,fee,net", `"balance_transaction_id`,
		"Kontoauszug\n\nDatum;Betrag\n", "-", "a\x80",
	} {
		if got, known := formats.Detect([]byte(head), false); known || got != "" {
			t.Errorf("%.100q is %q", head, got)
		}
		if got, known := formats.Detect([]byte(head), true); !known || got != formats.CSV {
			t.Errorf("%.100q with a mapping is %q, %t, want CSV", head, got, known)
		}
	}
}

func TestDetect_Samples(t *testing.T) {
	t.Parallel()
	sample(t, "bai2", "sample1.txt")
	known := map[string]formats.Format{
		"bai2/sample1.txt": formats.BAI2, "bai2/sample2.txt": formats.BAI2, "bai2/sample3.txt": formats.BAI2,
		"camt/camt054.v4.xml": formats.Camt054,
		"mt940/asnb.txt":      formats.MT940, "mt940/cmxl.sta": formats.MT940, "mt940/february_30.sta": formats.MT940,
		"mt940/ing.sta": formats.MT940, "mt940/malformed_details.sta": formats.MT940, "mt940/multiline.sta": formats.MT940,
		"mt940/sepa_mt9401.sta": formats.MT940,
	}
	for _, name := range []string{"five.decimals", "minimal", "multi.statement", "wrong"} {
		known["camt/camt053.v2."+name+".xml"] = formats.Camt053
	}
	for _, version := range []string{"v3", "v4", "v8"} {
		known["camt/camt053."+version+".xml"] = formats.Camt053
	}
	root := filepath.Join("..", "..", "..", "..", "shared", "data", "statements")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		want := known[filepath.ToSlash(name)]
		delete(known, filepath.ToSlash(name))
		if got, _ := formats.Detect(content, false); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
		return nil
	})
	if err != nil || len(known) > 0 {
		t.Errorf("error %v, not there: %v", err, known)
	}
}

func TestRead_NamesAFileOfNoKnownFormat(t *testing.T) {
	t.Parallel()
	_, err := transcript(bytes.NewReader([]byte("a,b\n")), formats.Options{Name: "f"})
	if of, named := errors.AsType[*formats.Error](err); !named || of.File != "f" {
		t.Errorf("got %v, want an error about the file", err)
	}
}

// FuzzDetect has no beginning of a file panic, nor be known for two formats.
func FuzzDetect(f *testing.F) {
	for _, seed := range []string{camtDocument + "<BkToCstmrStmt>", mt940, mt942, bai2, stripe, "{1:F01}{2:O940A}{4::20:0\n", "<?xml version=\"1.0\" encoding=\"x\"?><!DOCTYPE a [<!ENTITY b 'c'>]>"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		format, known := formats.Detect(head, false)
		if known != (format != "") || format == formats.CSV {
			t.Fatalf("%q, known %t, without a mapping", format, known)
		}
		if mapped, _ := formats.Detect(head, true); known && mapped != format {
			t.Fatalf("%q with a mapping, %q without", mapped, format)
		}
	})
}
