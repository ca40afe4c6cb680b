package metrics

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// sketch is a dashboard in short.
type sketch struct {
	File, Title string
	Panels      []struct {
		Title, Help, Kind, Unit string
		Queries                 yaml.Node // legend → PromQL, in order
	}
}

// object is JSON.
type object = map[string]any

// grafana makes a dashboard of a sketch. Panels flow from left to right; a row is as high as its first.
func (s sketch) grafana(t *testing.T) []byte {
	t.Helper()
	source := object{"type": "prometheus", "uid": "prometheus"}
	var panels []object
	x, y, height := 0, 0, 0
	for i, p := range s.Panels {
		kind, wide, high := "timeseries", 8, 8
		options, custom := object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi"}}, object{"fillOpacity": 10}
		switch p.Kind {
		case "stat":
			kind, wide, high, options, custom = "stat", 4, 5, object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}}, object{}
		case "bars":
			custom = object{"drawStyle": "bars", "fillOpacity": 60, "stacking": object{"mode": "normal"}}
		case "":
		default:
			t.Fatalf("%s: %s is of kind %q", s.File, p.Title, p.Kind)
		}
		if x+wide > 24 || x > 0 && high != height {
			x, y = 0, y+height
		}
		height = high
		var targets []object
		for q := 0; q < len(p.Queries.Content); q += 2 {
			targets = append(targets, object{
				"refId": string(rune('A' + q/2)), "datasource": source, "legendFormat": p.Queries.Content[q].Value, "expr": p.Queries.Content[q+1].Value,
			})
		}
		panel := object{
			"id": i + 1, "type": kind, "title": p.Title, "datasource": source, "targets": targets, "options": options,
			"gridPos": object{"x": x, "y": y, "w": wide, "h": high}, "fieldConfig": object{"defaults": object{"unit": p.Unit, "custom": custom}},
		}
		if p.Help != "" {
			panel["description"] = p.Help
		}
		panels = append(panels, panel)
		x += wide
	}
	var b bytes.Buffer
	encode := json.NewEncoder(&b)
	encode.SetEscapeHTML(false)
	encode.SetIndent("", " ")
	err := encode.Encode(object{
		"uid": "tieout-" + s.File, "title": "Tieout: " + s.Title, "tags": []string{"tieout"}, "schemaVersion": 39, "refresh": "30s",
		"time": object{"from": "now-3h", "to": "now"}, "panels": panels,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDashboards_AreMadeOfTheirSketches(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(observability, "dashboards.yaml"))
	var sketches []sketch
	if err == nil {
		err = yaml.Unmarshal(raw, &sketches)
	}
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, s := range sketches {
		file, want := filepath.Join(observability, "dashboards", s.File+".json"), s.grafana(t)
		made[file] = true
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what `make dashboards` makes (-want +got):\n%s", file, diff)
		}
	}
	there, err := filepath.Glob(filepath.Join(observability, "dashboards", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if !made[file] {
			t.Errorf("%s is made of no sketch", file)
		}
	}
}
