"""The words of notebook 11 in both languages, joined to those of `bn.lab.text`."""

WORDS = {
    "threads": ("threads", "الخيوط"),
    "measuring": ("measured for, s", "مدة القياس بالثواني"),
    "speedup bn_relu": ("BN+ReLU", "BN+ReLU"),
    "speedup bn_add_relu": ("BN+add+ReLU", "BN+add+ReLU"),
    "times as long": ("times as long as bn", "كم مرة يبلغ من زمن bn"),
    "eager": ("torch eager", "torch مباشرةً"),
    "compile": ("torch.compile", "torch.compile"),
    "forward": ("forward", "أماميًّا"),
    "backward": ("backward", "عكسيًّا"),
    "tensor bytes": ("bytes of the tensor", "حجم الموتر بالبايت"),
    "of copy": ("share of a copy's bandwidth", "نسبة من عرض نطاق النسخ"),
    "two passes": ("two passes", "قراءتان"),
    "one pass": ("one pass", "قراءة واحدة"),
    "bn NCHW": ("bn, NCHW", "\u200fbn، NCHW"),
    "bn NHWC": ("bn, NHWC", "\u200fbn، NHWC"),
    "bn NC": ("bn, two dimensions", "\u200fbn، بُعدان"),
    "tensor": ("Tensor", "الموتر"),
    "operation": ("Operation", "العملية"),
    "layout": ("Layout", "الترتيب"),
    "torch's kernel": ("torch's kernel", "نواة torch"),
    "forward, of copy": ("Forward, of a copy", "أماميًّا، من النسخ"),
    "backward, of copy": ("Backward, of a copy", "عكسيًّا، من النسخ"),
    "eager / bn": ("eager / bn", "<bdi>eager / bn</bdi>"),
    "compile / bn": ("compile / bn", "<bdi>compile / bn</bdi>"),
    "wall": ("wall, eager / bn", "زمن الجدار، <bdi>eager / bn</bdi>"),
    "memory": ("Peak memory, MB", "ذروة الذاكرة، <bdi>MB</bdi>"),
    "error bn": ("Error of bn: y, dx", "خطأ <bdi>bn</bdi>: <bdi>y, dx</bdi>"),
    "error eager": ("Error of eager: y, dx", "خطأ <bdi>eager</bdi>: <bdi>y, dx</bdi>"),
    "error reference": ("Error of the reference: y, dx", "خطأ المرجع: <bdi>y, dx</bdi>"),
    "target": ("Target", "الهدف"),
    "limit": ("At least", "على الأقل"),
    "cases": ("Cases", "الحالات"),
    "way": ("How the standard deviation is computed", "طريقة حساب الانحراف المعياري"),
    "passes": ("Bytes, in sizes T of the tensor", "البايتات، بوحدة حجم الموتر <bdi>T</bdi>"),
    "two passes, head": ("Two passes: forward, backward", "قراءتان: أماميًّا، عكسيًّا"),
    "one pass, head": ("One pass: forward, backward", "قراءة واحدة: أماميًّا، عكسيًّا"),
    "eager, head": ("torch, one by one: forward, backward", "<bdi>torch</bdi>، عمليةً عملية: أماميًّا، عكسيًّا"),
    "step network": ("Network", "الشبكة"),
    "torch, ms": ("torch, ms a step", "<bdi>torch</bdi>، ميلي ثانية للخطوة"),
    "bn, ms": ("bn.convert, ms a step", "<bdi>bn.convert</bdi>، ميلي ثانية للخطوة"),
    "torch / bn": ("torch / bn", "<bdi>torch / bn</bdi>"),
    "first loss": ("First and last loss, torch", "الخسارة الأولى والأخيرة، <bdi>torch</bdi>"),
    "last loss": ("First and last loss, bn", "الخسارة الأولى والأخيرة، <bdi>bn</bdi>"),
    "apart": ("Largest difference", "أكبر فرق"),
    "not possible": ("not run", "لم يُختبَر"),
    "naive": ("E[x²] − E[x]² in float32", "<bdi>E[x²] − E[x]²</bdi> بدقة <bdi>float32</bdi>"),
    "torch NCHW": ("torch, NCHW", "<bdi>torch, NCHW</bdi>"),
    "torch NHWC": ("torch, NHWC", "<bdi>torch, NHWC</bdi>"),
    "triton NCHW": ("the kernels of bn, NCHW", "أنوية <bdi>bn</bdi>، الترتيب <bdi>NCHW</bdi>"),
    "triton NHWC": ("the kernels of bn, NHWC", "أنوية <bdi>bn</bdi>، الترتيب <bdi>NHWC</bdi>"),
    "mean 100": ("mean 100, std 0.1", "المتوسط <bdi>100</bdi>، الانحراف المعياري <bdi>0.1</bdi>"),
    "mean 5e5": ("mean 500,000, std 8", "المتوسط <bdi>500,000</bdi>، الانحراف المعياري <bdi>8</bdi>"),
    "no gpu record": (
        "<strong>The GPU benchmark has not been run</strong>, so this chapter has no GPU figure and claims no speed. "
        "On a machine with CUDA, <code>make bench-gpu</code> measures everything and writes the record that would "
        "stand here.",
        "<strong>لم يُشغَّل قياس الأداء على معالج رسومي بعد</strong>، فليس في هذا الفصل رقم واحد من معالج رسومي، "
        "ولا ادعاء عن السرعة. وعلى جهاز فيه <bdi>CUDA</bdi> يقيس الأمر <code>make bench-gpu</code> كل شيء ويكتب السجل "
        "الذي مكانه هنا.",
    ),
    "gpu record": (
        "The GPU benchmark, on {device}: {cases} of {planned} cases.",
        "قياس الأداء على معالج رسومي، وهو {device}: {cases} من الحالات، من أصل {planned}.",
    ),
}

VERDICTS = {"met": ("met", "تحقَّق"), "notmet": ("not met", "لم يتحقق"), "notrun": ("not run", "لم يُختبَر")}

TITLES = {
    "speedup": (
        "Forward and backward, torch eager takes {eager} times as long as bn (the median of {cases} tensors), "
        "torch.compile {compile} times.",
        "في الاتجاهين الأمامي والعكسي معًا، يبلغ زمن <bdi>torch</bdi> مباشرةً {eager} مرة من زمن <bdi>bn</bdi> "
        "(وسيط الموترات، وعددها {cases})، ويبلغ زمن <bdi>torch.compile</bdi> {compile} مرة.",
    ),
    "speedup eager": (
        "Forward and backward, torch eager takes {eager} times as long as bn (the median of {cases} tensors).",
        "في الاتجاهين الأمامي والعكسي معًا، يبلغ زمن <bdi>torch</bdi> مباشرةً {eager} مرة من زمن <bdi>bn</bdi> "
        "(وسيط الموترات، وعددها {cases}).",
    ),
    "speedup note": (
        "On {device}, {dtype}. To the right of the line bn is faster. Bars: the 10th and 90th percentile over rounds.",
        "على {device}، بالنوع {dtype}. إلى يمين الخط <bdi>bn</bdi> أسرع. الأشرطة: المئينان {p10} و{p90} على الجولات.",
    ),
    "speedup cpu": (
        "On a CPU bn takes torch's own kernels, so that a ratio near 1 is what to expect.",
        "على المعالج المركزي يستعمل <bdi>bn</bdi> أنوية <bdi>torch</bdi> نفسها، فالمتوقع نسبة قريبة من {one}.",
    ),
    "bandwidth": (
        "BN+ReLU reaches {forward} of a copy's bandwidth forward and {backward} backward (medians of {cases} tensors).",
        "تبلغ عملية <bdi>BN+ReLU</bdi> {forward} من عرض نطاق النسخ أماميًّا و{backward} عكسيًّا (وسيط الموترات، "
        "وعددها {cases}).",
    ),
    "bandwidth note": (
        "On {device}, {dtype}. Counted are the bytes of two passes over the input; whoever needs only one can "
        "rise to the upper line.",
        "على {device}، بالنوع {dtype}. تُحسب بايتات قراءتين للمدخل؛ ومن تكفيه قراءة واحدة يمكن أن يرتفع إلى الخط "
        "الأعلى.",
    ),
}

TARGETS = {
    "relu_eager": (
        "BN+ReLU, forward and backward: torch eager / bn, median",
        "<bdi>BN+ReLU</bdi> أماميًّا وعكسيًّا: <bdi>torch eager / bn</bdi>، الوسيط",
    ),
    "relu_compile": (
        "BN+ReLU, forward and backward: torch.compile / bn, median",
        "<bdi>BN+ReLU</bdi> أماميًّا وعكسيًّا: <bdi>torch.compile / bn</bdi>، الوسيط",
    ),
    "add_relu_eager": (
        "BN+add+ReLU, forward and backward: torch eager / bn, median",
        "<bdi>BN+add+ReLU</bdi> أماميًّا وعكسيًّا: <bdi>torch eager / bn</bdi>، الوسيط",
    ),
    "add_relu_compile": (
        "BN+add+ReLU, forward and backward: torch.compile / bn, median",
        "<bdi>BN+add+ReLU</bdi> أماميًّا وعكسيًّا: <bdi>torch.compile / bn</bdi>، الوسيط",
    ),
    "never_slower": (
        "No tensor slower than the better of the two: worst case, upper end of its spread",
        "ليس <bdi>bn</bdi> أبطأ من أسرعهما في أي موتر: أسوأ حالة، الطرف الأعلى من مداها",
    ),
    "never_slower_wall": (
        "The same by the wall clock, Python included",
        "الشيء نفسه بزمن الجدار، وفيه زمن <bdi>Python</bdi>",
    ),
    "bandwidth": (
        "Tensors larger than L2: share of a copy's bandwidth on two-pass bytes, worst case",
        "الموترات الأكبر من ذاكرة <bdi>L2</bdi>: نسبة من عرض نطاق النسخ على بايتات قراءتين، أسوأ حالة",
    ),
    "nchw_floor": (
        "The same for NCHW: more than 1 beats the floor of two passes",
        "الشيء نفسه للترتيب <bdi>NCHW</bdi>: ما زاد على <bdi>1</bdi> يتجاوز حد القراءتين",
    ),
    "graph": (
        "60×100 in a CUDA graph: torch eager / the kernels",
        "<bdi>60×100</bdi> في <bdi>CUDA graph</bdi>: <bdi>torch eager</bdi> إلى الأنوية",
    ),
    "step": (
        "A training step of GoogLeNet: torch's layers / bn.convert",
        "خطوة تدريب لشبكة <bdi>GoogLeNet</bdi>: طبقات <bdi>torch</bdi> إلى <bdi>bn.convert</bdi>",
    ),
}
