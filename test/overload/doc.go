// Package overload holds the test that far more orders come than can be worked off.
//
// The whole system runs in a process of its own, on other cores than the generator. First its capacity is measured, when
// it has warmed up: the rate at which orders end while there are always enough. Then calls come in an
// open loop, at random like people do, at multiples of that; a call that is slow does not keep the next one from coming, and
// latency counts from when a call was to be sent. At the end every order that was acknowledged must be there and at rest,
// and the audit clean.
package overload
