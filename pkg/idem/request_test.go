package idem_test

import (
	"strings"
	"testing"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		key  string
		want rpcerr.Reason // "" for a usable key
	}{
		"none":                      {"", rpcerr.IdempotencyKeyMissing},
		"seven characters":          {"1234567", rpcerr.IdempotencyKeyInvalid},
		"eight":                     {"12345678", ""},
		"255":                       {strings.Repeat("k", 255), ""},
		"256":                       {strings.Repeat("k", 256), rpcerr.IdempotencyKeyInvalid},
		"the first printable":       {"order 01", ""},
		"the last printable":        {"order~01", ""},
		"a line break":              {"order-01\n", rpcerr.IdempotencyKeyInvalid},
		"a tab":                     {"order\t01", rpcerr.IdempotencyKeyInvalid},
		"a zero byte":               {"order-01\x00", rpcerr.IdempotencyKeyInvalid},
		"delete":                    {"order-01\x7f", rpcerr.IdempotencyKeyInvalid},
		"not ASCII":                 {"bestellung-ä", rpcerr.IdempotencyKeyInvalid},
		"not UTF-8":                 {"order-\xff\xfe\xfd", rpcerr.IdempotencyKeyInvalid},
		"a saga step's derived key": {"saga/0192f0c4-2b6e-7cc3-98c4-dc0c0c07398f/reserve", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := idem.CheckKey(test.key)
			if test.want == "" {
				if err != nil {
					t.Errorf("got %v, want none", err)
				}
				return
			}
			rpcerrtest.Want(t, err, test.want, "idempotency_key")
		})
	}
}
