package auditing

import (
	"fmt"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
)

// money is what was moved for a payment, or a charge, in minor units.
type money struct {
	taken, refunded, chargedBack int64
}

// moneyOf is what our books say of a payment.
func moneyOf(p *paymentv1.Payment) money {
	return money{p.GetCaptured().GetMinorUnits(), p.GetRefunded().GetMinorUnits(), p.GetChargedBack().GetMinorUnits()}
}

// held is what is left of what was taken.
func (m money) held() int64 { return m.taken - m.refunded - m.chargedBack }

func (m money) plus(n money) money {
	return money{m.taken + n.taken, m.refunded + n.refunded, m.chargedBack + n.chargedBack}
}

// exceeds tells whether more was taken, or more given back.
func (m money) exceeds(n money) bool { return m.taken > n.taken || m.refunded > n.refunded }

// String is what it says in a finding.
func (m money) String() string {
	return fmt.Sprintf("%d taken, %d given back, %d taken back", m.taken, m.refunded, m.chargedBack)
}
