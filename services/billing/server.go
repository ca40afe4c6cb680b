package billing

import (
	"context"
	"strconv"

	"google.golang.org/grpc"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
)

// server is the gRPC face of the use cases.
type server struct {
	billingv1.UnimplementedBatchServiceServer
	billing *billing
}

func register(r grpc.ServiceRegistrar, b *billing) {
	billingv1.RegisterBatchServiceServer(r, &server{billing: b})
	billingv1.RegisterScheduleServiceServer(r, &scheduleServer{billing: b})
}

func requestOf(ctx context.Context, key string) request {
	return request{caller: rpc.Caller(ctx), key: key}
}

// named is a request that names a batch and has a key.
type named interface {
	GetIdempotencyKey() string
	GetBatchId() string
}

// commandOf reads what is the same in all that is done to a batch.
func commandOf(ctx context.Context, r named) (command, error) {
	bid, err := parseBatchID(r.GetBatchId())
	return command{request: requestOf(ctx, r.GetIdempotencyKey()), batchID: bid}, err
}

// UploadBatch implements billingv1.BatchServiceServer.
func (s *server) UploadBatch(stream grpc.ClientStreamingServer[billingv1.UploadBatchRequest, billingv1.UploadBatchResponse]) error {
	first, file, err := rpc.OpenUpload[billingv1.BatchHeader](stream)
	if err != nil {
		return err
	}
	h, err := headerFromProto(first.GetHeader())
	if err != nil {
		return err
	}
	planned, err := s.billing.uploaded(stream.Context(), requestOf(stream.Context(), first.GetIdempotencyKey()), h, file)
	if err != nil {
		return err
	}
	return stream.SendAndClose(&billingv1.UploadBatchResponse{Batch: batchToProto(planned)})
}

// StartBatch implements billingv1.BatchServiceServer.
func (s *server) StartBatch(ctx context.Context, r *billingv1.StartBatchRequest) (*billingv1.StartBatchResponse, error) {
	c, err := commandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	c.acceptDuplicates = r.GetAcceptDuplicates()
	after, err := s.billing.start(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.StartBatchResponse{Batch: batchToProto(after)}, nil
}

// PauseBatch implements billingv1.BatchServiceServer.
func (s *server) PauseBatch(ctx context.Context, r *billingv1.PauseBatchRequest) (*billingv1.PauseBatchResponse, error) {
	c, err := commandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	c.reason = r.GetReason()
	after, err := s.billing.pause(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.PauseBatchResponse{Batch: batchToProto(after)}, nil
}

// ResumeBatch implements billingv1.BatchServiceServer.
func (s *server) ResumeBatch(ctx context.Context, r *billingv1.ResumeBatchRequest) (*billingv1.ResumeBatchResponse, error) {
	c, err := commandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	after, err := s.billing.resume(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.ResumeBatchResponse{Batch: batchToProto(after)}, nil
}

// CancelBatch implements billingv1.BatchServiceServer.
func (s *server) CancelBatch(ctx context.Context, r *billingv1.CancelBatchRequest) (*billingv1.CancelBatchResponse, error) {
	c, err := commandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	c.reason = r.GetReason()
	after, err := s.billing.cancel(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.CancelBatchResponse{Batch: batchToProto(after)}, nil
}

// RetryFailedItems implements billingv1.BatchServiceServer.
func (s *server) RetryFailedItems(ctx context.Context, r *billingv1.RetryFailedItemsRequest) (*billingv1.RetryFailedItemsResponse, error) {
	c, err := commandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	after, done, err := s.billing.retryFailed(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.RetryFailedItemsResponse{Batch: batchToProto(after), Retried: done.Items, Hard: done.Hard}, nil
}

// GetBatch implements billingv1.BatchServiceServer.
func (s *server) GetBatch(ctx context.Context, r *billingv1.GetBatchRequest) (*billingv1.GetBatchResponse, error) {
	bid, err := parseBatchID(r.GetBatchId())
	if err != nil {
		return nil, err
	}
	found, err := s.billing.readBatch(ctx, bid)
	if err != nil {
		return nil, err
	}
	return &billingv1.GetBatchResponse{Batch: batchToProto(found)}, nil
}

// ListBatches implements billingv1.BatchServiceServer.
func (s *server) ListBatches(ctx context.Context, r *billingv1.ListBatchesRequest) (*billingv1.ListBatchesResponse, error) {
	before, err := rpc.PageBefore[batchKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.billing.listBatches(ctx, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, batchToProto, (*billingv1.Batch).GetBatchId)
	return &billingv1.ListBatchesResponse{Batches: page, NextPageToken: next}, nil
}

// ListBatchItems implements billingv1.BatchServiceServer.
func (s *server) ListBatchItems(ctx context.Context, r *billingv1.ListBatchItemsRequest) (*billingv1.ListBatchItemsResponse, error) {
	bid, after, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.billing.listItems(ctx, bid, itemState(r.GetState()), after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, itemToProto, func(i *billingv1.BatchItem) string { return lineToken(i.GetLine()) })
	return &billingv1.ListBatchItemsResponse{Items: page, NextPageToken: next}, nil
}

// ListBatchRejections implements billingv1.BatchServiceServer.
func (s *server) ListBatchRejections(ctx context.Context, r *billingv1.ListBatchRejectionsRequest) (*billingv1.ListBatchRejectionsResponse, error) {
	bid, after, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.billing.listRejections(ctx, bid, after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, rejectionToProto, func(j *billingv1.BatchRejection) string { return lineToken(j.GetLine()) })
	return &billingv1.ListBatchRejectionsResponse{Rejections: page, NextPageToken: next}, nil
}

// ListBatchDuplicates implements billingv1.BatchServiceServer.
func (s *server) ListBatchDuplicates(ctx context.Context, r *billingv1.ListBatchDuplicatesRequest) (*billingv1.ListBatchDuplicatesResponse, error) {
	bid, after, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.billing.listDuplicates(ctx, bid, after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, func(d billingdb.ListDuplicatesRow) *billingv1.BatchDuplicate { return duplicateToProto(d) },
		func(d *billingv1.BatchDuplicate) string { return lineToken(d.GetLine()) })
	return &billingv1.ListBatchDuplicatesResponse{Duplicates: page, NextPageToken: next}, nil
}

// pageOf reads which lines of a batch a list is to begin behind.
func pageOf(r interface {
	GetBatchId() string
	GetPageToken() string
}) (bid BatchID, after int64, err error) {
	if bid, err = parseBatchID(r.GetBatchId()); err != nil {
		return bid, 0, err
	}
	token, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil || token == "" {
		return bid, 0, err
	}
	if after, err = strconv.ParseInt(token, 10, 64); err != nil {
		return bid, 0, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
	}
	return bid, after, nil
}

func lineToken(line int64) string { return strconv.FormatInt(line, 10) }

// WatchBatch implements billingv1.BatchServiceServer.
func (s *server) WatchBatch(r *billingv1.WatchBatchRequest, stream grpc.ServerStreamingServer[billingv1.WatchBatchResponse]) error {
	bid, err := parseBatchID(r.GetBatchId())
	if err != nil {
		return err
	}
	return s.billing.watch(stream.Context(), bid, func(b *batch) error {
		return stream.Send(&billingv1.WatchBatchResponse{Batch: batchToProto(b)})
	})
}

// SetProviderLimit implements billingv1.BatchServiceServer.
func (s *server) SetProviderLimit(ctx context.Context, r *billingv1.SetProviderLimitRequest) (*billingv1.SetProviderLimitResponse, error) {
	set, err := s.billing.setLimit(ctx, requestOf(ctx, r.GetIdempotencyKey()), limit{
		Account: r.GetAccount(), Rate: r.GetRatePerSecond(), Concurrency: r.GetConcurrency(), Reason: r.GetReason(),
	})
	if err != nil {
		return nil, err
	}
	return &billingv1.SetProviderLimitResponse{Limit: limitToProto(set)}, nil
}

// ListProviderLimits implements billingv1.BatchServiceServer.
func (s *server) ListProviderLimits(ctx context.Context, r *billingv1.ListProviderLimitsRequest) (*billingv1.ListProviderLimitsResponse, error) {
	after, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.billing.limits(ctx, after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, limitToProto, (*billingv1.ProviderLimit).GetAccount)
	return &billingv1.ListProviderLimitsResponse{Limits: page, NextPageToken: next}, nil
}
