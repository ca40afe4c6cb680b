package match

import "fmt"

// The names that stand in documents.
var (
	kindNames = [...]string{
		KindCharge: "charge", KindRefund: "refund", KindChargeback: "chargeback", KindChargebackReversal: "chargeback_reversal",
		KindFee: "fee", KindPayout: "payout", KindReturn: "return", KindAdjustment: "adjustment", KindTransfer: "transfer",
	}
	carrierNames = [...]string{
		CarrierID: "id", CarrierParent: "parent", CarrierKey: "key", CarrierReference: "reference", CarrierPayout: "payout",
	}
	passNames = [...]string{
		PassByHand: "by_hand", PassStrongID: "strong_id", PassComposite: "composite", PassPayout: "payout", PassWindow: "window",
		PassFuzzy: "fuzzy", PassSubset: "subset", PassOwn: "own",
	}
)

// String is the name of the kind: "charge", "chargeback_reversal".
func (k Kind) String() string { return name(kindNames[:], k) }

// MarshalText gives the name; a kind that there is not is an error.
func (k Kind) MarshalText() ([]byte, error) { return marshal(kindNames[:], k) }

// UnmarshalText reads a name; one that there is not is an error.
func (k *Kind) UnmarshalText(text []byte) error { return unmarshal(kindNames[:], k, text) }

// String is the name of the carrier: "id", "reference".
func (c Carrier) String() string { return name(carrierNames[:], c) }

// MarshalText gives the name; a carrier that there is not is an error.
func (c Carrier) MarshalText() ([]byte, error) { return marshal(carrierNames[:], c) }

// UnmarshalText reads a name; one that there is not is an error.
func (c *Carrier) UnmarshalText(text []byte) error { return unmarshal(carrierNames[:], c, text) }

// String is the name of the pass: "strong_id", "by_hand".
func (p Pass) String() string { return name(passNames[:], p) }

// MarshalText gives the name; a pass that there is not is an error.
func (p Pass) MarshalText() ([]byte, error) { return marshal(passNames[:], p) }

// UnmarshalText reads a name; one that there is not is an error.
func (p *Pass) UnmarshalText(text []byte) error { return unmarshal(passNames[:], p, text) }

func name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return fmt.Sprintf("unknown (%d)", uint8(v))
}

func marshal[T ~uint8](names []string, v T) ([]byte, error) {
	if int(v) < len(names) && names[v] != "" {
		return []byte(names[v]), nil
	}
	return nil, fmt.Errorf("%d has no name", uint8(v))
}

func unmarshal[T ~uint8](names []string, v *T, text []byte) error {
	for i, name := range names {
		if name != "" && name == string(text) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("%.40q is none of %q", text, names)
}
