// Package objective knows the service level objectives: it reads them from slo.yaml, makes the recording and alert rules of
// Prometheus from them, and reports from what those rules have recorded how well they were attained.
//
// An objective is told as two rates: what goes badly, and all there is. An objective about events counts events; one about time
// counts every moment, which is bad or not. The rules record both rates every [Interval], and whatever is said of a longer
// time is the quotient of their sums: each event weighs the same, however unevenly they come.
package objective
