//go:build !linux

package dev

// takeShortTurns does nothing: nobody was asked how here.
func takeShortTurns() {}
