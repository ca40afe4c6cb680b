package reconciliation

import (
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// judge matches a partition by the rules of its stage.
func judge(in match.Input, at stage, set rules.Set) (match.Result, error) {
	if at == stageBank {
		return match.Run(in, set.Bank)
	}
	return match.Run(in, set.Provider)
}

// acrossCurrencies looks for movements of one account and stage that are the same but for their currency.
func acrossCurrencies([]*part, rules.Set) {}
