// Package batching takes files of payments to the billing service, and follows batches to their ends.
package batching
