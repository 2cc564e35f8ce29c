// A device for tests, made of host memory: what libtorch calls "mps" on another system, and has no kernels for on
// this one. Every operation on it is done by the CPU's kernel, in place; around that its rules are those of CUDA:
//
// - an operation on its tensors takes no tensor of the CPU, except a number where CUDA's kernels take one;
// - what brings numbers to the host is counted, because the host waits for it;
// - where CUDA's kernels are stricter than the CPU's (types of masks and of norms) this is as strict;
// - attention of a row whose keys are all hidden is NaN, as some of CUDA's kernels have it.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace {

const c10::Device kFake(c10::DeviceType::MPS, 0);
std::atomic<long> waits{0};

struct Memory : c10::Allocator {
  static void give_back(void* p) { free(p); }
  c10::DataPtr allocate(size_t n) override {
    void* p = n ? aligned_alloc(64, (n + 63) / 64 * 64) : nullptr;
    if (p) memset(p, 0xA5, n);
    return {p, p, &give_back, kFake};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, std::size_t n) const override { memcpy(to, from, n); }
};
Memory memory;

struct Guard : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kFake.type(); }
  c10::Device exchangeDevice(c10::Device) const override { return kFake; }
  c10::Device getDevice() const override { return kFake; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const override { return stream(); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, kFake); }
};

bool ours(const at::Tensor& t) { return t.defined() && t.device().type() == kFake.type(); }

// The same memory as a tensor of another device; it keeps the first one.
at::Tensor as(const at::Tensor& t, c10::Device device) {
  return at::for_blob(t.data_ptr(), t.sizes())
      .strides(t.strides())
      .deleter([t](void*) {})
      .options(t.options().device(device))
      .target_device(device)
      .make_tensor();
}
at::Tensor host(const at::Tensor& t) { return as(t, at::kCPU); }
at::Tensor back(const at::Tensor& t) { return as(t, kFake); }

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory, c10::DispatchKeySet(c10::DispatchKey::MPS),
                                   type.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &memory, c10::DispatchKeySet(c10::DispatchKey::MPS),
                                           type.value_or(at::kFloat));
}

at::Tensor& copy_(at::Tensor& self, const at::Tensor& from, bool) {
  if (ours(from) && !ours(self)) waits++;
  (ours(self) ? host(self) : self).copy_(ours(from) ? host(from) : from);
  return self;
}

at::Scalar item(const at::Tensor& t) {
  waits++;
  return host(t).item();
}

void resize_to(const at::Tensor& t, at::IntArrayRef size) {
  if (t.sizes() == size) return;
  auto* impl = t.unsafeGetTensorImpl();
  impl->set_storage_keep_dtype(empty(size, t.scalar_type(), {}, {}, {}, {}).storage());
  impl->set_storage_offset(0);
  impl->set_sizes_contiguous(size);
}

const at::Tensor& resize_(const at::Tensor& self, at::IntArrayRef size, std::optional<at::MemoryFormat>) {
  resize_to(self, size);
  return self;
}

at::Tensor view(const at::Tensor& t, at::SymIntArrayRef size) {
  return at::native::view(t, C10_AS_INTARRAYREF_SLOW(size));
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const std::optional<at::Tensor>& mask, double dropout, bool causal, std::optional<double> scale,
                     bool grouped) {
  TORCH_CHECK(ours(q) && ours(k) && ours(v), "attention mixes devices");
  if (!mask || !mask->defined()) {
    return back(at::scaled_dot_product_attention(host(q), host(k), host(v), {}, dropout, causal, scale, grouped));
  }
  TORCH_CHECK(ours(*mask), "attention's mask is on the CPU");
  TORCH_CHECK(mask->scalar_type() == q.scalar_type() && mask->is_contiguous(), "attention's mask has the wrong form");
  auto own = host(*mask);
  auto y = at::scaled_dot_product_attention(host(q), host(k), host(v), own, dropout, causal, scale, grouped);
  return back(y.masked_fill(own.amax(-1, true).eq(-INFINITY), NAN));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> layer_norm(const at::Tensor& x, at::IntArrayRef size,
                                                          const std::optional<at::Tensor>& weight,
                                                          const std::optional<at::Tensor>& bias, double eps) {
  auto own = [&](const std::optional<at::Tensor>& t) -> std::optional<at::Tensor> {
    if (!t || !t->defined()) return {};
    TORCH_CHECK(ours(*t), "layer_norm mixes devices");
    TORCH_CHECK(t->scalar_type() == x.scalar_type(), "layer_norm mixes types");
    return host(*t);
  };
  auto [y, mean, factor] = at::native_layer_norm(host(x), size, own(weight), own(bias), eps);
  return {back(y), back(mean), back(factor)};
}

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       c10::SymIntArrayRef stride, c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation,
                       bool transposed, c10::SymIntArrayRef out_padding, c10::SymInt groups) {
  TORCH_CHECK(ours(x) && ours(weight), "convolution mixes devices");
  std::optional<at::Tensor> own;
  if (bias && bias->defined()) own = host(*bias);
  return back(at::convolution_symint(host(x), host(weight), own, stride, padding, dilation, transposed, out_padding,
                                     groups));
}

std::tuple<at::Tensor, at::Tensor> sort(const at::Tensor& x, std::optional<bool> stable, int64_t dim,
                                        bool descending) {
  auto [value, index] = at::sort(host(x), stable, dim, descending);
  return {back(value), back(index)};
}

// Operations whose CUDA kernels take a number of the host beside a tensor.
bool takes_numbers(std::string name) {
  static const std::set<std::string> all = {"add", "sub", "mul", "div", "remainder", "ge", "gt", "lt", "le", "eq", "ne"};
  name = name.substr(name.find(':') + 2);
  if (!name.empty() && name.back() == '_') name.pop_back();
  return all.count(name) > 0;
}

at::Tensor argument(const std::string& name, const at::Tensor& t) {
  if (!t.defined()) return t;
  // an empty result is made larger by the operation: memory that is not the CPU's own cannot be
  if (ours(t)) return t.numel() == 0 ? at::empty(t.sizes(), t.options().device(at::kCPU)) : host(t);
  bool number = t.dim() == 0 && (t.unsafeGetTensorImpl()->is_wrapped_number() || takes_numbers(name));
  TORCH_CHECK(number, name, " mixes devices: ", t.sizes(), " ", t.scalar_type(), " is on the CPU");
  return t;
}

c10::IValue argument(const std::string& name, const c10::IValue& value) {
  if (value.isTensor()) return argument(name, value.toTensor());
  if (value.isDevice()) return c10::Device(at::kCPU);
  if (value.isTensorList()) {
    std::vector<at::Tensor> all;
    for (const at::Tensor& t : value.toTensorVector()) all.push_back(argument(name, t));
    return all;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> all;
    for (std::optional<at::Tensor> t : value.toOptionalTensorList()) {
      all.push_back(t ? std::optional<at::Tensor>(argument(name, *t)) : t);
    }
    return all;
  }
  return value;
}

// What an operation wrote to is given back as the tensor that it was given.
at::Tensor written(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& given, size_t result,
                   const at::Tensor& made) {
  const auto* alias = schema.returns()[result].alias_info();
  for (size_t a = 0; a < given.size(); a++) {
    const auto* own = schema.arguments()[a].alias_info();
    if (own && own->isWrite() && *own == *alias && given[a].isTensor()) {
      auto target = given[a].toTensor();
      if (target.sizes() != made.sizes() || target.data_ptr() != made.data_ptr()) {
        resize_to(target, made.sizes());
        host(target).copy_(made);
      }
      return target;
    }
  }
  TORCH_CHECK(false, schema.name(), " returns what it was not given");
}

void on_the_cpu(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto first = stack->size() - schema.arguments().size();
  const std::vector<c10::IValue> given(stack->begin() + first, stack->end());
  for (size_t i = first; i < stack->size(); i++) (*stack)[i] = argument(schema.name(), (*stack)[i]);
  if (schema.name() == "aten::nonzero" || schema.name() == "aten::equal") waits++;
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  const auto results = stack->size() - schema.returns().size();
  for (size_t i = 0; i < schema.returns().size(); i++) {
    auto& value = (*stack)[results + i];
    const auto* alias = schema.returns()[i].alias_info();
    if (value.isTensor() && value.toTensor().defined()) {
      bool writes = alias && alias->isWrite();
      value = writes ? written(schema, given, i, value.toTensor()) : back(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> all;
      for (const at::Tensor& t : value.toTensorVector()) all.push_back(t.defined() ? back(t) : t);
      value = all;
    }
  }
}

TORCH_LIBRARY_IMPL(aten, MPS, m) {
  m.impl("empty.memory_format", TORCH_FN(empty));
  m.impl("empty_strided", TORCH_FN(empty_strided));
  m.impl("copy_", TORCH_FN(copy_));
  m.impl("_local_scalar_dense", TORCH_FN(item));
  m.impl("resize_", TORCH_FN(resize_));
  m.impl("view", TORCH_FN(view));
  m.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  m.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  m.impl("scaled_dot_product_attention", TORCH_FN(attention));
  m.impl("native_layer_norm", TORCH_FN(layer_norm));
  m.impl("sort.stable", TORCH_FN(sort));
  m.impl("convolution_overrideable", TORCH_FN(convolution));
}

TORCH_LIBRARY_IMPL(_, MPS, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_cpu>()); }

c10::impl::DeviceGuardImplRegistrar guard(c10::DeviceType::MPS, new Guard());
struct Registered {
  Registered() { c10::SetAllocator(c10::DeviceType::MPS, &memory); }
} registered;

}  // namespace

// How often the host has waited for the device.
extern "C" long fake_device_waits() { return waits; }
