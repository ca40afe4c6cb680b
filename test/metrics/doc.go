// Package metrics holds what the system measures to what is written of it: the reference page is made of a scrape, labels have the
// values that it lists and no others, there are not more series than there may be, dashboards and rules ask for nothing that there
// is not, and each of their queries finds something in a Prometheus that scrapes `tieout dev`.
package metrics
