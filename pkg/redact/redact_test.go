package redact_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/tieout/tieout/pkg/redact"
)

// texts are what is written, and what is left of it.
var texts = map[string]string{
	// Cards, of each network's length, however they are written.
	"4111111111111111":                            "[card]",
	"card 4111 1111 1111 1111, exp. 12/27":        "card [card], exp. 12/27",
	"4111-1111-1111-1111":                         "[card]",
	"4111.1111.1111.1111":                         "[card]",
	"378282246310005":                             "[card]",
	"3782 822463 10005":                           "[card]",
	"30569309025904":                              "[card]",
	"4222222222222":                               "[card]",
	"6304000000000000":                            "[card]",
	"5555555555554444 and 2223003122003222":       "[card] and [card]",
	"card4111111111111111x":                       "card[card]x",
	"dead4111111111111111":                        "dead[card]",
	"4111 1111 1111 1111 123":                     "[card] 123",
	`{"number":"4111111111111111"}`:               `{"number":"[card]"}`,
	"duplicate key: (ref)=(4111111111111111)":     "duplicate key: (ref)=([card])",
	";4111111111111111=27121010000012345?":        ";[card]=27121010000012345?",
	"order-4111111111111111-1":                    "order-[card]-1",
	"/v1/orders/4111111111111111?expand=customer": "/v1/orders/[card]?expand=customer",

	// Addresses.
	"from alice.o'hara+tea@shop.example.com.":   "from alice.o'[e-mail].",
	"<bob@example.org>":                         "<[e-mail]>",
	"q=carol%40example.com&page=2":              "q=[e-mail]&page=2",
	"müller@bücher.example":                     "[e-mail]",
	"dave@example.com,eve@example.com":          "[e-mail],[e-mail]",
	"invalid value \"mallory@evil.example\": x": "invalid value \"[e-mail]\": x",

	// Secrets, by name.
	"password=hunter2 host=db":                      "password=[secret] host=db",
	"host=db password='hunter 2' user=x":            "host=db password='[secret]' user=x",
	`{"client_secret":"abc","id":"1"}`:              `{"client_secret":"[secret]","id":"1"}`,
	`"{\"apiKey\":\"abc\",\"id\":\"1\"}"`:           `"{\"apiKey\":\"[secret]\",\"id\":\"1\"}"`,
	"{Addr:x Password:hunter2 DB:0}":                "{Addr:x Password:[secret] DB:0}",
	"Authorization: Bearer abc.def":                 "Authorization: [secret]",
	"map[Authorization:[Basic dXNlcjpwYXNz] X:[1]]": "map[Authorization:[[secret] X:[1]]",
	"POST /hook?token=abc&x=1":                      "POST /hook?token=[secret]&x=1",
	"X-Api-Key: abc":                                "X-Api-Key: [secret]",
	"cvv=123":                                       "cvv=[secret]",
	"PAN: 1234":                                     "PAN: [secret]",

	// Secrets, by their looks.
	"postgres://tieout:hunter2@db:5432/orders":                       "postgres://[secret]@db:5432/orders",
	"postgres://tieout:hun/ter2@db:5432/orders":                      "postgres://[secret]@db:5432/orders",
	"postgres://tieout:hunt@er2@db:5432/orders?x=1":                  "postgres://[secret]@db:5432/orders?x=1",
	"dial nats://s3cr3t@nats.example.com:4222: EOF":                  "dial nats://[secret]@nats.example.com:4222: EOF",
	"got sk_live_4eC39HqLyjWDarjtT1zdp7dc.":                          "got [secret]",
	"keysk_test_4eC39HqLyjWD":                                        "key[secret]",
	"signed with whsec_MfKQ9r8GKYqrTwjU":                             "signed with [secret]",
	"curl -H 'x: Bearer abcdefgh12345'":                              "curl -H 'x: [secret]'",
	"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln ":                 "jwt [secret] ",
	"AKIAIOSFODNN7EXAMPLE":                                           "[secret]",
	"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- x": "[secret] x",
	"-----BEGIN PRIVATE KEY-----\nMIIE":                              "[secret]",
}

func TestText_TakesOutWhatMustNotBeKept(t *testing.T) {
	t.Parallel()
	for text, want := range texts {
		if got := redact.Text(text); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestText_LeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "saga recorded an event", "the amount is 125000 EUR", "4111111111111112", "4111 1111 1111 1112",
		"2026-11-22 13:45:18", "2026-11-22T13:45:18.123456789Z", "20261122-20261123", "took 1.234567s",
		"1763819118123", "1763819118123456", "1763819118123456789", // now, in ms, µs and ns
		"0.4111111111111111", "0000000000000000", "12345678901234567890123", "411111111111111111111",
		"ord_0192f3a4-7b1c-7d2e-8a3b-0123456789ab", "saga/0192f3a4-7b1c-7d2e-8a3b-0123456789ab/capture",
		"ord_01926304-0000-7000-8000-000000000000", // 6304 0000 0000 0000 is a card number
		"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "a411111111111111",
		"411111111111111a", "x-41111111-1111-1111-8111-811111111111", // of a UUID
		"grpc@v1.85.0/server.go", "user@localhost", "a @ b", "50 % of 40 %", "@example.com", "me@10.0.0.1",
		"token bucket is empty", "the secret is not set", "next page: 3", "authorization_id=auth_1", "tokens: 5", "secretary: Ann",
		"nats://127.0.0.1:4222", "http://localhost:4317/v1/logs?x=1", "https://example.com/@user",
		"the bearer of this", "Bearer x", "task_live_", "eyJ", "SPAN: 1", "-----",
		"connect: connection refused", "/v1/orders:batchGet", "::1", "a==b", "time=", "password=", "password",
	} {
		if got := redact.Text(text); got != text {
			t.Errorf("%s\n got %s", text, got)
		}
	}
}

func TestText_LeavesIDsAndTimesWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "raw")
		id := uuid.UUID(raw)
		hex := strings.ReplaceAll(id.String(), "-", "")
		at := time.Unix(rapid.Int64Range(1_000_000_000, 1_999_999_999).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		stamps := []string{at.Format(time.RFC3339Nano), at.Format("20060102150405"), at.Format(time.DateTime) + " " + at.Format(time.DateOnly)}
		for _, ns := range []int64{at.UnixMilli(), at.UnixMicro(), at.UnixNano()} {
			stamps = append(stamps, big.NewInt(ns).String())
			if redact.IsCardNumber(uint64(ns)) {
				t.Errorf("%d is a card number", ns)
			}
		}
		texts := append(stamps, id.String(), "ord_"+id.String(), "saga/"+id.String()+"/ship", id.String()+"-1")
		if strings.ContainsAny(hex, "abcdef") {
			texts = append(texts, hex)
		}
		for _, text := range texts {
			if got := redact.Text(text); got != text {
				t.Errorf("%s became %s", text, got)
			}
		}
	})
}

// Whatever is around a card, an address or a password, it goes.
func TestText_FindsItAnywhere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.StringOf(rapid.RuneFrom([]rune(" \n\t,;:=/\"'`{}[]()<>&?#|azAZ@%é")))
		before, after := around.Draw(t, "before"), around.Draw(t, "after")
		for _, canary := range []string{"4111111111111111", "5500-0000-0000-0004", "mallory@evil.example", "sk_live_canary1"} {
			if got := redact.Text(before + canary + after); strings.Contains(got, canary) {
				t.Errorf("%q is in %q", canary, got)
			}
		}
	})
}

// A caller chooses the text: it must not take long, whatever it is.
func TestText_TakesAsLongAsTheTextIs(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"%40", "@", "://a:b", "://", "a:", "=", "4111-", "41111111", "-----BEGIN ", "eyJ", "password", "\"", "a-"} {
		text := strings.Repeat(piece, (1<<20)/len(piece))
		began := time.Now()
		redact.Text(text)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a megabyte of %q took %v", piece, took)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("password='x' 4111 1111 1111 1111 a@b.example postgres://a:b@c/d")
	f.Fuzz(func(t *testing.T, text string) {
		once := redact.Text(text)
		if again := redact.Text(once); again != once {
			t.Errorf("%q became %q, and then %q", text, once, again)
		}
	})
}

func TestIsCardNumber(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]bool{
		4111111111111111: true, 378282246310005: true, 4111111111111112: false, 0: false, 42: false, 18446744073709551615: false,
	} {
		if got := redact.IsCardNumber(n); got != want {
			t.Errorf("%d: got %v", n, got)
		}
	}
}

func BenchmarkText(b *testing.B) {
	for name, text := range map[string]string{
		"message": "saga recorded an event",
		"id":      "ord_0192f3a4-7b1c-7d2e-8a3b-0123456789ab",
		"error":   `rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:7433: connect: connection refused"`,
		"dirty":   "card 4111 1111 1111 1111 of alice@example.com",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				redact.Text(text)
			}
		})
	}
}
