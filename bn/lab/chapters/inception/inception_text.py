"""The words of notebook 07, in both languages, a part of `bn.lab.show.text`."""

WORDS = {
    "appendix": ("appendix", "الملحق"),
    "parameters": ("Parameters", "المُعامِلات"),
    "multiply_adds": ("Multiply-adds an image", "عمليات الضرب والجمع لكل صورة"),
    "millions of parameters": ("millions", "بالملايين"),
    "billions of multiply-adds": ("billions", "بالمليارات"),
    "googlenet": ("GoogLeNet", "GoogLeNet"),
    "googlenet double": ("GoogLeNet, 3×3 twice", "\u200fGoogLeNet مع \u20663×3\u2069 مرتين"),
    "figure 5 with 5x5": ("Figure 5 with 5×5", "الشكل \u20665\u2069 مع \u20665×5\u2069"),
    "narrowed": ("Figure 5, 576 channels", "الشكل \u20665\u2069، \u2066576\u2069 قناة"),
    "figure 5": ("Figure 5", "الشكل \u20665\u2069"),
    "figure 5 bn": ("Figure 5, BN", "الشكل \u20665\u2069، BN"),
    "figure 5 separable": ("Figure 5, BN, separable", "الشكل \u20665\u2069، BN، قابلة للفصل"),
    "row": ("Row", "الصف"),
    "patch": ("Patch / stride", "النافذة / خطوة الانتقال"),
    "output": ("Output", "الخرج"),
    "depth": ("Depth", "العمق"),
    "built": ("built:", "عند البناء:"),
    "reduce": ("{} reduce", "اختزال {}"),
    "double": ("double {}", "{} مزدوج"),
    "double reduce": ("double {} reduce", "اختزال {} المزدوج"),
    "pool + proj": ("pool + proj", "التجميع + الإسقاط"),
    "convolution": ("convolution", "التفاف"),
    "max pool": ("max pool", "تجميع بالقيمة العظمى"),
    "avg pool": ("avg pool", "تجميع بالمتوسط"),
    "inception": ("inception {}", "الكتلة {}"),
    "stride": ("stride {}", "الخطوة {}"),
    "avg": ("avg", "المتوسط"),
    "max": ("max", "العظمى"),
    "pass through": ("pass through", "تمرير"),
    "loss before": ("Loss at the start", "الخسارة في البداية"),
    "loss after": ("Loss after {} steps", "الخسارة في النهاية (عدد الخطوات {})"),
    "reached": ("Reached by the gradient", "ما يصل إليه التدرج"),
}

TITLES = {
    "inception rows": (
        "Modules 5a and 5b hold {late_parameters} of the parameters and do {late_multiply_adds} of the work; "
        "everything before 4a holds {early_parameters} and does {early_multiply_adds}.",
        "في الكتلتين <bdi>5a</bdi> و<bdi>5b</bdi> معًا {late_parameters} من المُعامِلات و{late_multiply_adds} من "
        "العمليات؛ وفي الصفوف السابقة للكتلة <bdi>4a</bdi> جميعها {early_parameters} من المُعامِلات "
        "و{early_multiply_adds} من العمليات.",
    ),
    "inception rows note": (
        "The network of Figure 5 at full size, with BN. Rows without parameters are left out.",
        "الشبكة التي في الشكل <bdi>5</bdi> بحجمها الكامل، مع <bdi>BN</bdi>. لا تظهر الصفوف التي لا مُعامِلات لها.",
    ),
    "inception readings": (
        "No reading of Figure 5 comes to {printed} million parameters: the largest has {most}.",
        "لا تبلغ أي قراءة للشكل <bdi>5</bdi> ما في الورقة، وهو {printed} مليون مُعامِل: أعلاها {most} مليون.",
    ),
    "inception readings note": (
        "Dashed: {printed} million parameters; and GoogLeNet with {parameters_growth} more parameters, "
        "{multiply_adds_growth} more multiply-adds, as the appendix says. Blue: with BN.",
        "الخطوط المتقطعة: {printed} مليون مُعامِل؛ ثم <bdi>GoogLeNet</bdi> بزيادة {parameters_growth} في المُعامِلات "
        "و{multiply_adds_growth} في العمليات، كما يقول الملحق. اللون الأزرق: مع <bdi>BN</bdi>.",
    ),
}

FOUND = {
    "inception-5x5-split": (
        "No convolution after the first is larger than 3×3. But the double ones have up to {widest} filters.",
        "لا التفاف بعد الطبقة الأولى أكبر من <bdi>3×3</bdi>. غير أن عدد مرشِّحات الالتفاف المزدوج يصل إلى {widest}.",
    ),
    "inception-params": (
        "Figure 5 adds up to between {fewest} and {most} parameters, depending on how its slips are read: "
        "{missing} too few.",
        "مجموع مُعامِلات الشكل <bdi>5</bdi> بين {fewest} و{most} بحسب قراءة ما فيه من هفوات، وأقرب مجموع إلى رقم "
        "الورقة ينقص عنه بمقدار {missing}.",
    ),
    "no-fc-layers": (
        "Fully connected layers besides the one with {outputs} outputs: {others}.",
        "عدد الطبقات المتصلة بالكامل، عدا الطبقة التي عدد مخرجاتها {outputs}: {others}.",
    ),
    "bn-all-nonlinearities": (
        "Of the {layers} convolutions, {without_bn} feed a nonlinearity without BN; BN changes the shape of {changed} "
        "weights.",
        "عدد الالتفافات {layers}، وعدد ما يدخل خرجه منها في اللاخطية من غير <bdi>BN</bdi> هو {without_bn}؛ وعدد "
        "مصفوفات الأوزان التي يغيِّر <bdi>BN</bdi> أبعادها {changed}.",
    ),
    "app-depth9": (
        "GoogLeNet's longest path has {deeper} more layers with weights.",
        "يزيد عدد الطبقات ذات الأوزان على أطول مسار في <bdi>GoogLeNet</bdi> بمقدار {deeper}.",
    ),
    "app-cost": (
        "In percent, parameters and multiply-adds: {parameters_same} and {multiply_adds_same} with GoogLeNet's own "
        "widths; {parameters_own} and {multiply_adds_own} with those of Figure 5; {parameters_whole} and "
        "{multiply_adds_whole} from GoogLeNet to Figure 5.",
        "التغيُّر بالمئة، في المُعامِلات ثم في عمليات الضرب والجمع: {parameters_same} و{multiply_adds_same} بأعداد القنوات "
        "في <bdi>GoogLeNet</bdi>؛ و{parameters_own} و{multiply_adds_own} بأعداد القنوات في الشكل <bdi>5</bdi>؛ "
        "و{parameters_whole} و{multiply_adds_whole} من <bdi>GoogLeNet</bdi> إلى الشكل <bdi>5</bdi>.",
    ),
    "app-28x28-modules": (
        "Modules that are given 28×28 images: {before} in GoogLeNet, {after} in Figure 5.",
        "عدد الكتل التي مدخلها <bdi>28×28</bdi>: {before} في <bdi>GoogLeNet</bdi> و{after} في الشكل <bdi>5</bdi>.",
    ),
    "app-pooling": (
        "Kinds of pools inside modules: {kinds}. Pools between modules: {between}. Modules that halve the image and "
        "are not 3c or 4e, or the other way round: {astray}.",
        "عدد أنواع التجميع داخل الكتل {kinds}، وعدد طبقات التجميع بين الكتل {between}. وعدد الكتل التي تنصِّف أبعاد "
        "الصورة وليست <bdi>3c</bdi> ولا <bdi>4e</bdi>، أو العكس: {astray}.",
    ),
    "app-separable-first": (
        "{saved} multiply-adds fewer an image and {kept_more} more activations kept for the gradient; the weights go "
        "from {weights} to {weights_separable}.",
        "عمليات الضرب والجمع لكل صورة أقل بمقدار {saved}، والتنشيطات المحفوظة لحساب التدرج أكثر بمقدار {kept_more}؛ "
        "وينخفض عدد الأوزان من {weights} إلى {weights_separable}.",
    ),
    "fig5-channel-sums": (
        "Of {modules} modules, {differ} do not add up to what is printed; built as printed, {built} come out with "
        "other channels, and {narrowed} with projections of 96 in 4c and 4d.",
        "عدد الكتل {modules}، ويخالف مجموع الفروع العدد المطبوع في {differ} منها؛ وإذا بُنيت الشبكة كما طُبعت خالف عدد "
        "قنوات الخرج العدد المطبوع في {built} منها، وفي {narrowed} منها إذا كان الإسقاط <bdi>96</bdi> في <bdi>4c</bdi> "
        "و<bdi>4d</bdi>.",
    ),
}

ESTIMATES = {
    "larger_kernels": ("larger than 3×3", "أكبر من <bdi>3×3</bdi>"),
    "widest": ("most filters", "أكبر عدد من المرشِّحات"),
    "missing": ("missing parameters", "المُعامِلات الناقصة"),
    "others": ("other fully connected layers", "الطبقات الأخرى المتصلة بالكامل"),
    "without_bn": ("without BN", "من غير <bdi>BN</bdi>"),
    "changed": ("changed weights", "الأوزان التي تغيَّرت أبعادها"),
    "deeper": ("more layers", "الطبقات الزائدة"),
    "parameters_off": ("parameters, percentage points off", "المُعامِلات، البُعد بالنقاط المئوية"),
    "multiply_adds_off": ("multiply-adds, percentage points off", "العمليات، البُعد بالنقاط المئوية"),
    "before": ("modules in GoogLeNet", "الكتل في <bdi>GoogLeNet</bdi>"),
    "after": ("modules in Figure 5", "الكتل في الشكل <bdi>5</bdi>"),
    "kinds": ("kinds of pools", "أنواع التجميع"),
    "between": ("pools between modules", "طبقات التجميع بين الكتل"),
    "astray": ("other modules that halve", "الكتل الأخرى التي تنصِّف أبعاد الصورة"),
    "saved": ("multiply-adds saved", "العمليات الموفَّرة"),
    "kept_more": ("more activations kept", "التنشيطات الزائدة المحفوظة"),
    "differ": ("modules that differ", "الكتل المخالفة"),
}
