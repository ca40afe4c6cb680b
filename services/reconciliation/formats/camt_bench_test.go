package formats

import (
	"bytes"
	"fmt"
	"testing"
)

// camtFile is a statement of a number of entries that ties, as banks print it: with indentation, and a name and an address on
// both sides.
func camtFile(entries int) []byte {
	var b bytes.Buffer
	sum := int64(0)
	for i := range entries {
		sum += int64(100 + i%100_000)
	}
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <BkToCstmrStmt>
    <GrpHdr>
      <MsgId>BENCH</MsgId>
      <CreDtTm>2026-01-15T18:43:50+01:00</CreDtTm>
    </GrpHdr>
    <Stmt>
      <Id>BENCH-1</Id>
      <ElctrncSeqNb>1</ElctrncSeqNb>
      <CreDtTm>2026-01-15T18:43:50+01:00</CreDtTm>
      <Acct>
        <Id>
          <IBAN>DE87200500001234567890</IBAN>
        </Id>
        <Ccy>EUR</Ccy>
      </Acct>
      <Bal>
        <Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp>
        <Amt Ccy="EUR">0.00</Amt>
        <CdtDbtInd>CRDT</CdtDbtInd>
        <Dt><Dt>2026-01-15</Dt></Dt>
      </Bal>
      <Bal>
        <Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp>
        <Amt Ccy="EUR">%d.%02d</Amt>
        <CdtDbtInd>CRDT</CdtDbtInd>
        <Dt><Dt>2026-01-15</Dt></Dt>
      </Bal>
`, sum/100, sum%100)
	for i := range entries {
		minor := 100 + i%100_000
		fmt.Fprintf(&b, camtBenchEntry, minor/100, minor%100, i, i, minor/100, minor%100, i, i, i)
	}
	b.WriteString("    </Stmt>\n  </BkToCstmrStmt>\n</Document>\n")
	return b.Bytes()
}

const camtBenchEntry = `      <Ntry>
        <Amt Ccy="EUR">%d.%02d</Amt>
        <CdtDbtInd>CRDT</CdtDbtInd>
        <Sts>
          <Cd>BOOK</Cd>
        </Sts>
        <BookgDt>
          <Dt>2026-01-15</Dt>
        </BookgDt>
        <ValDt>
          <Dt>2026-01-15</Dt>
        </ValDt>
        <AcctSvcrRef>2026011500%08d</AcctSvcrRef>
        <BkTxCd>
          <Domn>
            <Cd>PMNT</Cd>
            <Fmly>
              <Cd>RCDT</Cd>
              <SubFmlyCd>ESCT</SubFmlyCd>
            </Fmly>
          </Domn>
          <Prtry>
            <Cd>NTRF+166</Cd>
            <Issr>DK</Issr>
          </Prtry>
        </BkTxCd>
        <NtryDtls>
          <TxDtls>
            <Refs>
              <EndToEndId>ord_%08d</EndToEndId>
            </Refs>
            <Amt Ccy="EUR">%d.%02d</Amt>
            <CdtDbtInd>CRDT</CdtDbtInd>
            <RltdPties>
              <Dbtr>
                <Pty>
                  <Nm>Customer %d</Nm>
                  <PstlAdr>
                    <Ctry>DE</Ctry>
                    <AdrLine>Musterstrasse 10</AdrLine>
                    <AdrLine>20095 Hamburg</AdrLine>
                  </PstlAdr>
                </Pty>
              </Dbtr>
              <DbtrAcct>
                <Id>
                  <IBAN>DE02%018d</IBAN>
                </Id>
              </DbtrAcct>
              <Cdtr>
                <Pty>
                  <Nm>Tieout GmbH</Nm>
                </Pty>
              </Cdtr>
              <CdtrAcct>
                <Id>
                  <IBAN>DE87200500001234567890</IBAN>
                </Id>
              </CdtrAcct>
            </RltdPties>
            <RltdAgts>
              <DbtrAgt>
                <FinInstnId>
                  <BICFI>DEUTDEFFXXX</BICFI>
                </FinInstnId>
              </DbtrAgt>
            </RltdAgts>
            <RmtInf>
              <Ustrd>Invoice 2026-%08d, thank you &amp; regards</Ustrd>
            </RmtInf>
          </TxDtls>
        </NtryDtls>
      </Ntry>
`

// BenchmarkCamt reads one statement after another, each of 5,000 entries.
func BenchmarkCamt(b *testing.B) {
	const entries = 5000
	file := camtFile(entries)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		lines := 0
		for part, err := range Read(bytes.NewReader(file), Options{Name: "bench.xml", Format: Camt053}) {
			if err != nil {
				b.Fatal(err)
			}
			if part.Line != nil {
				lines++
			}
			if part.Proof != nil && !part.Proof.Holds() {
				b.Fatal(part.Proof)
			}
		}
		if lines != entries {
			b.Fatalf("%d lines, want %d", lines, entries)
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
