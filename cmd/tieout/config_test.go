package main

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestConfig_FollowsOpenTelemetrysVariables(t *testing.T) {
	t.Parallel()
	type got struct {
		Endpoint string
		Ratio    float64
	}
	const collector = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317"
	for name, test := range map[string]struct {
		environ []string
		want    got
	}{
		"nothing is said":        {nil, got{"", 0.1}},
		"the endpoint is enough": {[]string{collector}, got{"http://collector:4317", 0.1}},
		"that of traces goes before": {
			[]string{collector, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://traces:4317", "OTEL_TRACES_SAMPLER_ARG=0.5"}, got{"http://traces:4317", 0.5},
		},
		"our own go before them": {
			[]string{collector, "OTEL_TRACES_SAMPLER_ARG=0.5", "TIEOUT_TELEMETRY_OTLP_ENDPOINT=http://ours:4317", "TIEOUT_TELEMETRY_SAMPLE_RATIO=1"},
			got{"http://ours:4317", 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := &cobra.Command{}
			configFlag(cmd)
			cfg, err := (&cli{stderr: io.Discard, environ: test.environ}).loadConfig(cmd)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got{cfg.Telemetry.OTLPEndpoint, cfg.Telemetry.SampleRatio}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	cmd := &cobra.Command{}
	configFlag(cmd)
	if _, err := (&cli{environ: []string{"OTEL_TRACES_SAMPLER_ARG=some"}}).loadConfig(cmd); exitCode(err) != exitUsage {
		t.Errorf("a share that is no number: got %v", err)
	}
}
