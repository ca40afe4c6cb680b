package saga

import (
	"fmt"
	"strings"
)

// Mermaid draws a definition as a Mermaid state diagram: forward on the left, compensation back.
func Mermaid(def Definition) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	b.WriteString("stateDiagram-v2\n")
	line("[*] --> %s", def.Steps[0].Name)
	var undo []string // the compensations of the steps so far, last first
	for i, s := range def.Steps {
		traits := s.Kind.String()
		if s.Money {
			traits += ", money"
		}
		line("%s : %s (%s)", s.Name, s.Execute, traits)
		next := "[*]"
		if i+1 < len(def.Steps) {
			next = def.Steps[i+1].Name
		}
		line("%s --> %s : done", s.Name, next)
		switch s.Kind {
		case Retriable:
			line("%s --> parked : refused, or unknown to the end", s.Name)
		case Pivot:
			line("%s --> %s : refused", s.Name, first(undo))
			line("%s --> parked : unknown to the end", s.Name)
			if s.Lookup != "" {
				line("look_up_%s : %s", s.Name, s.Lookup)
				line("%s --> look_up_%s : unknown", s.Name, s.Name)
				line("look_up_%s --> %s : not found", s.Name, s.Name)
				line("look_up_%s --> %s : done", s.Name, next)
				line("look_up_%s --> %s : refused", s.Name, first(undo))
				line("look_up_%s --> parked : unknown to the end", s.Name)
			}
		default:
			line("%s --> %s : refused", s.Name, first(undo))
			if s.Compensate != "" {
				undo = append([]string{"undo_" + s.Name}, undo...)
			}
			line("%s --> %s : unknown to the end, deadline, cancelled", s.Name, first(undo))
		}
	}
	for i, u := range undo {
		step := def.Steps[def.index(strings.TrimPrefix(u, "undo_"))]
		line("%s : %s", u, step.Compensate)
		line("%s --> %s : done", u, first(undo[i+1:]))
		line("%s --> parked : refused, or unknown to the end", u)
	}
	return b.String()
}

// first is where turning back begins: the compensation of the last step done, or the end.
func first(undo []string) string {
	if len(undo) == 0 {
		return "[*]"
	}
	return undo[0]
}
