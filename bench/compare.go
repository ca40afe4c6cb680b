package main

import (
	"fmt"
	"strings"
)

// least is what a unit cannot do without, besides rows and events, which are counted: calls over gRPC, items in calls that carry
// many, and posts to the payment provider.
type least struct{ rpcs, items, posts float64 }

// limit is how many units a second the processors could do at most, if each did only what a unit cannot do without, at the price that
// this costs by itself in the same run. It is 0 where a price was not measured.
func (r *Run) limit(k kase, of Costs) (rate float64, sum string) {
	if k.least == (least{}) && of.Events == 0 {
		return 0, ""
	}
	var total float64
	var terms []string
	for _, term := range []struct {
		n     float64
		limit string
	}{{k.least.rpcs, limitRPC}, {k.least.items, limitItem}, {k.least.posts, limitPost}, {of.Rows, limitRow}, {of.Events, limitEvent}} {
		if term.n < 0.01 {
			continue
		}
		price := r.find(term.limit)
		if price == nil {
			return 0, ""
		}
		each := price.Saturated.Costs.CPU()
		total += term.n * each
		terms = append(terms, fmt.Sprintf("%.3g %s × %.2f µs", term.n, price.Unit, each))
	}
	if total == 0 {
		return 0, ""
	}
	return float64(r.CPUs) * 1e6 / total, strings.Join(terms, " + ") + fmt.Sprintf(" = %.0f µs", total)
}

func (r *Run) find(name string) *Result {
	for i := range r.Results {
		if r.Results[i].Name == name {
			return &r.Results[i]
		}
	}
	return nil
}

// comparison is the second table: each case beside its peers and its limit.
func (r *Run) comparison() string {
	var b strings.Builder
	for _, k := range cases() {
		of := r.find(k.name)
		if of == nil {
			continue
		}
		rate, sum := r.limit(k, of.Saturated.Costs)
		var beside []string
		for _, name := range k.peers {
			if peer := r.find(name); peer != nil {
				beside = append(beside, fmt.Sprintf("%.3g × %s (CPU: %.3g of its)", of.Saturated.Rate/peer.Saturated.Rate, peer.Title,
					of.Saturated.Costs.CPU()/peer.Saturated.Costs.CPU()))
			}
		}
		if of.Note != "" {
			beside = append(beside, of.Note)
		}
		if rate == 0 && len(beside) == 0 {
			continue
		}
		share := ""
		if rate > 0 {
			share = fmt.Sprintf("%.0f %% of %.0f/s: %s", 100*of.Saturated.Rate/rate, rate, sum)
		}
		fmt.Fprintf(&b, "| %s | %.0f | %s | %s |\n", k.title, of.Saturated.Rate, strings.Join(beside, "; "), share)
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n| case | units/s | beside its peers | of the limit |\n|---|---|---|---|\n" + b.String()
}
