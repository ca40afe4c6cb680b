// Package importing takes statements to the reconciliation service, and says what came of them.
package importing
