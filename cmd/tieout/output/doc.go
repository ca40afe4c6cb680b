// Package output prints what commands have found: as a table for people, or as JSON, JSON Lines, YAML or CSV
// for programs. JSON is always valid, also when there is nothing to print, and holds all that the table does.
package output
