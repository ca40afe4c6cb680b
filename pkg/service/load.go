package service

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// EnvPrefix begins every environment variable that sets a configuration key: grpc.addr is TIEOUT_GRPC_ADDR. A
// name with _FILE behind it names a file that holds the value, as for secrets.
const EnvPrefix = "TIEOUT_"

// Sources are where configuration comes from, each stronger than the one before: the defaults already in the
// struct, a YAML file, the environment, flags.
type Sources struct {
	// File is the path of a YAML file; empty for none.
	File string
	// Environ is the environment as os.Environ gives it. Variables beginning with EnvPrefix must be known.
	Environ []string
	// Ignore names variables that begin with EnvPrefix and are not configuration.
	Ignore []string
	// Flags are values by key.
	Flags map[string]any
}

// Load fills the configuration struct that dst points to, whose fields carry koanf tags. A key or variable
// that the struct does not know is an error: a misspelt setting must not be silently without effect.
func Load(dst any, src Sources) error {
	k := koanf.New(".")
	if src.File != "" {
		raw, err := os.ReadFile(src.File)
		if err != nil {
			return fmt.Errorf("reading configuration: %w", err)
		}
		if err := k.Load(yamlFile(raw), nil); err != nil {
			return fmt.Errorf("parsing configuration %s: %w", src.File, err)
		}
	}
	fromEnv, err := environment(dst, src)
	if err != nil {
		return err
	}
	for _, layer := range []map[string]any{fromEnv, src.Flags} {
		for key, value := range layer {
			if err := k.Set(key, value); err != nil {
				return fmt.Errorf("merging configuration: %w", err)
			}
		}
	}
	err = k.UnmarshalWithConf("", dst, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: dst, TagName: "koanf", ErrorUnused: true, WeaklyTypedInput: true, Squash: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(durationWithUnit, mapstructure.StringToTimeDurationHookFunc()),
	}})
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	return nil
}

// yamlFile is what a YAML file says, as koanf reads it.
type yamlFile []byte

// ReadBytes implements koanf.Provider.
func (f yamlFile) ReadBytes() ([]byte, error) { return f, nil }

// Read implements koanf.Provider.
func (f yamlFile) Read() (map[string]any, error) {
	var settings map[string]any
	err := yaml.Unmarshal(f, &settings)
	return settings, err
}

// durationWithUnit refuses a bare number for a time: it would be taken for nanoseconds.
func durationWithUnit(_, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() {
		return value, nil
	}
	switch value.(type) {
	case string, time.Duration:
		return value, nil
	}
	return nil, fmt.Errorf("%v is not a time: write it with its unit, as in 30s", value)
}

// environment gives the configuration keys that variables set.
func environment(dst any, src Sources) (map[string]any, error) {
	byVariable := map[string]string{}
	for _, key := range keys(reflect.TypeOf(dst).Elem(), "") {
		byVariable[EnvPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = key
	}
	values := map[string]any{}
	var errs []error
	for _, assignment := range src.Environ {
		name, value, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(name, EnvPrefix) || slices.Contains(src.Ignore, name) {
			continue
		}
		key, known := byVariable[name]
		if !known {
			if key, known = byVariable[strings.TrimSuffix(name, "_FILE")]; !known {
				errs = append(errs, fmt.Errorf("%s: no such setting", name))
				continue
			}
			content, err := os.ReadFile(value)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
			value = strings.TrimRight(string(content), "\r\n")
		}
		if _, twice := values[key]; twice {
			errs = append(errs, fmt.Errorf("%s: %s is set twice", name, key))
		}
		values[key] = value
	}
	return values, errors.Join(errs...)
}

// keys lists the settings of a configuration struct: "grpc.addr".
func keys(t reflect.Type, prefix string) []string {
	var all []string
	for f := range t.Fields() {
		tag := f.Tag.Get("koanf")
		switch {
		case f.Anonymous:
			all = append(all, keys(f.Type, prefix)...)
		case tag == "-" || tag == "":
		case f.Type.Kind() == reflect.Struct:
			all = append(all, keys(f.Type, prefix+tag+".")...)
		default:
			all = append(all, prefix+tag)
		}
	}
	return all
}
