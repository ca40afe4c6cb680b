package objective

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 8 << 20

// Prometheus is one to ask, by its HTTP API.
type Prometheus struct {
	// URL is its address, with user and password if it wants them: "http://prometheus:9090".
	URL string
}

// series is a series of an answer: its labels, and its value.
type series struct {
	labels map[string]string
	value  float64
}

// query evaluates an expression at a time.
func (p Prometheus) query(ctx context.Context, expr string, at time.Time) ([]series, error) {
	form := url.Values{"query": {expr}, "time": {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.URL, "/")+"/api/v1/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	var body struct {
		Error string `json:"error"`
		Data  struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, fmt.Errorf("it answers %s, which is not the API of Prometheus: %w", answer.Status, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s: %s", answer.Status, body.Error)
	}
	var all []series
	for _, r := range body.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("it answers the value %v: %w", r.Value[1], err)
		}
		all = append(all, series{r.Metric, value})
	}
	return all, nil
}
