package errand_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// Where the errands of a batch are done one after the other, it waits for them, but not for ever.
func TestDoAll_IsPatientWhileErrandsGetDone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		errands, answered int
	}{
		"all in time":  {5, 5},
		"far too many": {20, 6}, // in 4 times 500 ms
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				crew := errand.NewCrew(1)
				errands := errand.New(errand.Config[string, string, string]{
					Method: "Go", Crew: crew, Limit: time.Minute, Patience: 500 * time.Millisecond,
					Begin: func(_ context.Context, keys []string) []groupcommit.Result[idem.Begun[string]] {
						begun := make([]groupcommit.Result[idem.Begun[string]], len(keys))
						for i := range keys {
							begun[i].Value.Claim = &idem.Claim{}
						}
						return begun
					},
					Work: func(_ context.Context, key string, _ *idem.Claim) (string, error) {
						<-time.After(300 * time.Millisecond) // of the bubble
						return key, nil
					},
					End: func(_ context.Context, keys []string) []groupcommit.Result[string] {
						return make([]groupcommit.Result[string], len(keys))
					},
				})
				answered := 0
				for _, r := range errands.DoAll(t.Context(), make([]string, test.errands)) {
					switch {
					case r.Err == nil:
						answered++
					case !rpcerr.Is(r.Err, rpcerr.IdempotencyKeyInFlight):
						t.Error(r.Err)
					}
				}
				if answered != test.answered {
					t.Errorf("%d of %d were answered, want %d", answered, test.errands, test.answered)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := crew.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
