package reconciliation

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// parseSigningKey reads the key of the configuration: the seed of an Ed25519 key, in base64. Nil for an empty one.
func parseSigningKey(text string) (ed25519.PrivateKey, error) {
	if text == "" {
		return nil, nil
	}
	seed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("signing_key: is not 32 bytes in base64")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// signingKey gives the key that runs are signed with: the configuration's, or else one that was made once and is in the database.
func (r *reconciliation) signingKey(ctx context.Context) (ed25519.PrivateKey, error) {
	q := newStore(r.pool).q
	if r.key != nil {
		err := q.PutSigningKey(ctx, reconciliationdb.PutSigningKeyParams{PublicKey: publicOf(r.key)})
		if err != nil {
			return nil, fmt.Errorf("writing public key: %w", err)
		}
		return r.key, nil
	}
	_, fresh, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	// Where there is one already, this one is not taken.
	if err := q.PutSigningKey(ctx, reconciliationdb.PutSigningKeyParams{PublicKey: publicOf(fresh), Seed: fresh.Seed()}); err != nil {
		return nil, fmt.Errorf("writing key: %w", err)
	}
	seed, err := q.OwnSigningKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func publicOf(key ed25519.PrivateKey) []byte { return key.Public().(ed25519.PublicKey) }

// sign signs the digest of a run.
func sign(key ed25519.PrivateKey, digest []byte) (public, signature []byte) {
	return publicOf(key), ed25519.Sign(key, digest)
}
