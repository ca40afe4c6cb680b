// Package rules says by what runs match: a [Set] is one version of it, as a document of JSON that people write. It has what
// the passes may take for the same money at each stage, when the counterpart of a movement is due, what fee is expected, and
// which days are no business days.
//
// What is expected of a movement is said by a list of entries, and the first one that is about it counts. An entry is about
// movements of an account, a currency and a kind, where it names them, and about all of them where it does not.
package rules
