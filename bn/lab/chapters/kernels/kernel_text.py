"""The words of notebook 11 in both languages, joined to those of `bn.lab.show.text`."""

WORDS = {
    "threads": ("threads", "الخيوط"),
    "measuring": ("measured for, s", "مدة القياس بالثواني"),
    "speedup bn_relu": ("BN+ReLU", "BN+ReLU"),
    "speedup bn_add_relu": ("BN+add+ReLU", "BN+add+ReLU"),
    "times as long": ("times as long as bn", "الزمن منسوبًا إلى زمن bn"),
    "eager": ("torch eager", "\u200ftorch بالتنفيذ المباشر (eager)"),
    "compile": ("torch.compile", "torch.compile"),
    "forward": ("forward", "الاتجاه الأمامي"),
    "backward": ("backward", "الاتجاه العكسي"),
    "tensor bytes": ("bytes of the tensor", "حجم الموتر بالبايت"),
    "of copy": ("share of a copy's bandwidth", "النسبة إلى عرض نطاق النسخ"),
    "two passes": ("two passes", "قراءتان"),
    "one pass": ("one pass", "قراءة واحدة"),
    "bn NCHW": ("bn, NCHW", "\u200fbn، الترتيب NCHW"),
    "bn NHWC": ("bn, NHWC", "\u200fbn، الترتيب NHWC"),
    "bn NC": ("bn, two dimensions", "\u200fbn، بُعدان"),
    "tensor": ("Tensor", "الموتر"),
    "operation": ("Operation", "العملية"),
    "layout": ("Layout", "ترتيب الذاكرة"),
    "torch's kernel": ("torch's kernel", "نواة <bdi>torch</bdi>"),
    "forward, of copy": ("Forward, of a copy", "أماميًّا، نسبةً إلى النسخ"),
    "backward, of copy": ("Backward, of a copy", "عكسيًّا، نسبةً إلى النسخ"),
    "eager / bn": ("eager / bn", "<bdi>eager / bn</bdi>"),
    "compile / bn": ("compile / bn", "<bdi>compile / bn</bdi>"),
    "wall": ("wall, eager / bn", "الزمن الكلي (wall clock)، <bdi>eager / bn</bdi>"),
    "memory": ("Peak memory, MB", "ذروة استعمال الذاكرة، <bdi>MB</bdi>"),
    "error bn": ("Error of bn: y, dx", "خطأ <bdi>bn</bdi>: <bdi>y</bdi>، <bdi>dx</bdi>"),
    "error eager": ("Error of eager: y, dx", "خطأ <bdi>eager</bdi>: <bdi>y</bdi>، <bdi>dx</bdi>"),
    "error reference": ("Error of the reference: y, dx", "خطأ الصيغة المرجعية: <bdi>y</bdi>، <bdi>dx</bdi>"),
    "target": ("Target", "الهدف"),
    "limit": ("At least", "الحد الأدنى المطلوب"),
    "cases": ("Cases", "الحالات"),
    "way": ("How the standard deviation is computed", "طريقة حساب الانحراف المعياري"),
    "passes": ("Bytes, in sizes T of the tensor", "البايتات المنقولة، بوحدة حجم الموتر <bdi>T</bdi>"),
    "two passes, head": ("Two passes: forward, backward", "قراءتان: أماميًّا، عكسيًّا"),
    "one pass, head": ("One pass: forward, backward", "قراءة واحدة: أماميًّا، عكسيًّا"),
    "eager, head": ("torch, one by one: forward, backward", "<bdi>torch</bdi>، كل عملية وحدها: أماميًّا، عكسيًّا"),
    "step network": ("Network", "الشبكة"),
    "torch, ms": ("torch, ms a step", "<bdi>torch</bdi>، زمن الخطوة بالملّي ثانية"),
    "bn, ms": ("bn.convert, ms a step", "<bdi>bn.convert</bdi>، زمن الخطوة بالملّي ثانية"),
    "torch / bn": ("torch / bn", "<bdi>torch / bn</bdi>"),
    "first loss": ("First and last loss, torch", "الخسارة الأولى والأخيرة، <bdi>torch</bdi>"),
    "last loss": ("First and last loss, bn", "الخسارة الأولى والأخيرة، <bdi>bn</bdi>"),
    "apart": ("Largest difference", "أكبر فرق بين الخسارتين"),
    "larger scales": (
        "Not run at this scale; the larger ones take the step.",
        "لم تُختبَر الخطوة بهذا الحجم من التشغيل، وإنما تُختبَر بالأحجام الأكبر.",
    ),
    "not possible": ("not run", "لم يُختبَر"),
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
        "<strong>لم يُشغَّل قياس الأداء على معالج رسومي بعد</strong>، فليس في هذا الفصل شكل ولا رقم من معالج رسومي، "
        "ولا أي ادعاء عن السرعة. وعلى جهاز فيه <bdi>CUDA</bdi> يقيس الأمر <code>make bench-gpu</code> كل شيء، ويكتب "
        "السجلّ الذي مكانه هنا.",
    ),
    "gpu record": (
        "The GPU benchmark, on {device}: {cases} of {planned} cases.",
        "قياس الأداء على المعالج الرسومي {device}: عدد الحالات التي قيست {cases} من أصل {planned}.",
    ),
}

VERDICTS = {"met": ("met", "تحقَّق"), "notmet": ("not met", "لم يتحقق"), "notrun": ("not run", "لم يُختبَر")}

TITLES = {
    "speedup": (
        "Forward and backward, torch eager takes {eager} times as long as bn (the median of {cases} tensors), "
        "torch.compile {compile} times.",
        "في الاتجاهين الأمامي والعكسي معًا، نسبة زمن <bdi>torch</bdi> بالتنفيذ المباشر إلى زمن <bdi>bn</bdi> هي "
        "{eager}، ونسبة زمن <bdi>torch.compile</bdi> إليه {compile} (الوسيط على الموترات، وعددها {cases}).",
    ),
    "speedup eager": (
        "Forward and backward, torch eager takes {eager} times as long as bn (the median of {cases} tensors).",
        "في الاتجاهين الأمامي والعكسي معًا، نسبة زمن <bdi>torch</bdi> بالتنفيذ المباشر إلى زمن <bdi>bn</bdi> هي {eager} "
        "(الوسيط على الموترات، وعددها {cases}).",
    ),
    "speedup note": (
        "On {device}, {dtype}. To the right of the line bn is faster. Bars: the 10th and 90th percentile over rounds.",
        "على {device}، بأعداد من النوع {dtype}. على يمين الخط تكون <bdi>bn</bdi> هي الأسرع. أشرطة المدى: المئينان "
        "{p10} و{p90} على الجولات.",
    ),
    "speedup cpu": (
        "On a CPU bn takes torch's own kernels, so that a ratio near 1 is what to expect.",
        "على المعالج المركزي تستعمل <bdi>bn</bdi> أنوية <bdi>torch</bdi> نفسها، فالمتوقع نسبة قريبة من {one}.",
    ),
    "bandwidth": (
        "BN+ReLU reaches {forward} of a copy's bandwidth forward and {backward} backward (medians of {cases} tensors).",
        "يبلغ عرض النطاق في <bdi>BN+ReLU</bdi> نسبة {forward} من عرض نطاق النسخ أماميًّا و{backward} عكسيًّا (الوسيط على "
        "الموترات، وعددها {cases}).",
    ),
    "bandwidth note": (
        "On {device}, {dtype}. Counted are the bytes of two passes over the input; whoever needs only one can "
        "rise to the upper line.",
        "على {device}، بأعداد من النوع {dtype}. تُحسب البايتات على أن المدخل يُقرأ مرتين؛ والتنفيذ الذي تكفيه "
        "قراءة واحدة قد يبلغ الخط الأعلى.",
    ),
}

TARGETS = {
    "relu_eager": (
        "BN+ReLU, forward and backward: torch eager / bn, median",
        "<bdi>BN+ReLU</bdi> أماميًّا وعكسيًّا: نسبة الزمنين <bdi>torch eager / bn</bdi>، الوسيط",
    ),
    "relu_compile": (
        "BN+ReLU, forward and backward: torch.compile / bn, median",
        "<bdi>BN+ReLU</bdi> أماميًّا وعكسيًّا: نسبة الزمنين <bdi>torch.compile / bn</bdi>، الوسيط",
    ),
    "add_relu_eager": (
        "BN+add+ReLU, forward and backward: torch eager / bn, median",
        "<bdi>BN+add+ReLU</bdi> أماميًّا وعكسيًّا: نسبة الزمنين <bdi>torch eager / bn</bdi>، الوسيط",
    ),
    "add_relu_compile": (
        "BN+add+ReLU, forward and backward: torch.compile / bn, median",
        "<bdi>BN+add+ReLU</bdi> أماميًّا وعكسيًّا: نسبة الزمنين <bdi>torch.compile / bn</bdi>، الوسيط",
    ),
    "never_slower": (
        "No tensor slower than the better of the two: worst case, upper end of its spread",
        "ليست <bdi>bn</bdi> أبطأ من أسرع الاثنين، <bdi>torch eager</bdi> و<bdi>torch.compile</bdi>، في أي موتر: أسوأ "
        "حالة، بالطرف الأعلى من مداها",
    ),
    "never_slower_wall": (
        "The same by the wall clock, Python included",
        "الهدف السابق نفسه بالزمن الكلي (wall clock)، وفيه زمن <bdi>Python</bdi>",
    ),
    "bandwidth": (
        "Tensors larger than L2: share of a copy's bandwidth on two-pass bytes, worst case",
        "الموترات الأكبر من الذاكرة المخبئية <bdi>L2</bdi>: النسبة إلى عرض نطاق النسخ بحساب قراءتين، أسوأ حالة",
    ),
    "nchw_floor": (
        "The same for NCHW: more than 1 beats the floor of two passes",
        "الهدف السابق نفسه للترتيب <bdi>NCHW</bdi>: ما زاد على <bdi>1</bdi> أسرع مما تسمح به قراءتان",
    ),
    "graph": (
        "60×100 in a CUDA graph: torch eager / the kernels",
        "<bdi>60×100</bdi> في <bdi>CUDA graph</bdi>: نسبة زمن <bdi>torch eager</bdi> إلى زمن الأنوية",
    ),
    "step": (
        "A training step of GoogLeNet: torch's layers / bn.convert",
        "خطوة تدريب لشبكة <bdi>GoogLeNet</bdi>: نسبة زمن طبقات <bdi>torch</bdi> إلى زمن <bdi>bn.convert</bdi>",
    ),
}
