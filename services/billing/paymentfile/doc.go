// Package paymentfile reads files of recurring payments, row by row: CSV with a heading, or JSON Lines. It decides
// and does nothing else: no clock, no log, no database.
//
// A row is a payment or a rejection, never both and never neither, in the order of the file. The columns, in JSON
// Lines the fields, are:
//
//	reference       what the payment is for; 1 to 128 characters
//	customer_id     who pays; 1 to 128 characters
//	payment_method  what is charged; 1 to 128 characters. Whether it exists is the provider's to say.
//	amount          in major units with a point, "12.50", with at most the decimals that ISO 4217 gives the currency
//	currency        ISO 4217, in capitals
//	description     optional; up to 500 characters
//	card_scheme     optional; up to 32 characters
//
// All are text. In JSON Lines that includes the amount: a JSON number passes through floating point in most of the
// programs that write and read it, and 0.1 is no number there.
//
// Nothing is mended: no space is trimmed, no case changed, no grouping of thousands guessed. A value that almost is one
// is a sign that the program that wrote the file meant something else. For the same reason no text may hold a line
// break: a quote that was never closed makes the rows behind it a part of one field, and payments would be lost
// without a word.
//
// That two rows of a file are the same payment is not seen here: the service's database finds them, in this file and
// across all.
package paymentfile
