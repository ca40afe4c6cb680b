package web

import (
	"cmp"
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// processes are connections to all processes, each of which has the dead letters of the services that run there: they are listed
// one process after the other, and one of them is looked for in each.
type processes []grpc.ClientConnInterface

// NewStream implements grpc.ClientConnInterface. No call about dead letters is a stream.
func (p processes) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "it is no stream")
}

// Invoke implements grpc.ClientConnInterface.
func (p processes) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if r, ok := args.(*deadletterv1.ListDeadLettersRequest); ok {
		return p.list(ctx, method, r, reply.(*deadletterv1.ListDeadLettersResponse), opts)
	}
	var missing, away error
	for _, process := range p {
		err := process.Invoke(ctx, method, args, reply, opts...)
		switch status.Code(err) {
		case codes.NotFound:
			missing = err
		case codes.Unavailable:
			away = cmp.Or(away, err)
		default:
			return err
		}
	}
	return cmp.Or(away, missing) // it may be where nobody answers
}

// list gives a page of the first process from the token on that has something. A token is a process and its own token.
func (p processes) list(ctx context.Context, method string, r *deadletterv1.ListDeadLettersRequest, page *deadletterv1.ListDeadLettersResponse, opts []grpc.CallOption) error {
	at, token, err := p.parsePageToken(r.GetPageToken())
	if err != nil {
		return err
	}
	for ; at < len(p); at, token = at+1, "" {
		proto.Reset(page)
		of := proto.CloneOf(r)
		of.PageToken = token
		if err := p[at].Invoke(ctx, method, of, page, opts...); err != nil {
			return err
		}
		switch {
		case page.GetNextPageToken() != "":
			page.NextPageToken = pageToken(at, page.GetNextPageToken())
			return nil
		case len(page.GetDeadLetters()) > 0 && at+1 < len(p):
			page.NextPageToken = pageToken(at+1, "")
			return nil
		}
	}
	return nil
}

func pageToken(process int, token string) string {
	return rpc.PageToken(fmt.Sprintf("%d/%s", process, token))
}

func (p processes) parsePageToken(text string) (process int, token string, err error) {
	if text == "" {
		return 0, "", nil
	}
	key, err := rpc.ParsePageToken(text)
	if err != nil {
		return 0, "", err
	}
	if n, _ := fmt.Sscanf(key, "%d/%s", &process, &token); n == 0 || process < 0 || process >= len(p) {
		return 0, "", rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is none of this list")
	}
	return process, token, nil
}
