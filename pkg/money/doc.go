// Package money holds amounts of money: a currency of ISO 4217 and a whole number of its minor units.
//
// There is no float anywhere, and no rounding but where an amount becomes one of another currency (Amount.At). Every other
// operation is exact or an error: two currencies never mix (ErrCurrencyMismatch) and nothing wraps around (ErrOverflow).
//
// The number of decimals of each currency comes from iso4217.csv, which is ISO 4217's own table; the tables of
// locale libraries follow local habit instead and differ from what banks and providers exchange (IQD, IDR, PKR).
package money
