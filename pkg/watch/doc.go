// Package watch lets calls follow something that changes: who changes it in this process tells, and what other
// processes change is noticed by looking again from time to time. [Watchers] each look for themselves; a [Hub] looks
// once for all, where they are many.
package watch
