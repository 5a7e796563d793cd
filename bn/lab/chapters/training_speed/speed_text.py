"""The words of notebook 08, in both languages, a part of `bn.lab.show.text`."""

WORDS = {
    "network inception": ("Inception", "Inception"),
    "network bn_baseline": ("BN-Baseline", "BN-Baseline"),
    "network bn_x5": ("BN-x5", "BN-x5"),
    "network bn_x30": ("BN-x30", "BN-x30"),
    "network bn_x5_sigmoid": ("BN-x5-Sigmoid", "BN-x5-Sigmoid"),
    "network plain_x5": ("Inception ×5", "\u2066Inception ×5\u2069"),
    "network plain_x30": ("Inception ×30", "\u2066Inception ×30\u2069"),
    "network sigmoid": ("Inception, sigmoids", "\u200fInception بدوال سينية"),
    "control": ("control", "للمقارنة"),
    "all changes": ("BN, all changes", "\u200fBN مع التغييرات كلها"),
    "plain at": ("without BN, rate", "من غير <bdi>BN</bdi>، المعدل"),
    "bn at": ("with BN, rate", "مع <bdi>BN</bdi>، المعدل"),
    "panel networks": ("(a) The five networks", "(أ) الشبكات الخمس"),
    "panel controls": ("(b) Controls, all without BN", "(ب) شبكات المقارنة، كلها من غير BN"),
    "equal plain": ("(a) Without BN", "(أ) من غير BN"),
    "equal bn": ("(b) With BN", "(ب) مع BN"),
    "panel rates": ("Accuracy at each rate", "الدقة عند كل معدل"),
    "panel own rates": ("Each at its own best rate", "كل شبكة بأفضل معدل لها"),
    "validation accuracy": ("validation accuracy", "دقة التحقق"),
    "final validation accuracy": ("final validation accuracy", "دقة التحقق النهائية"),
    "best accuracies": ("best validation accuracy", "أفضل دقة تحقق"),
    "inceptions best": ("Inception's best", "أفضل دقة لشبكة Inception"),
    "chosen": ("chosen", "المعدل المختار"),
    "diverged": ("diverged", "تباعدت"),
    "learning rate head": ("Learning<br>rate", "معدل<br>التعلم"),
    "in the paper": ("in the<br>paper", "في<br>الورقة"),
    "steps to": ("Steps to<br>{target}", "الخطوات<br>حتى {target}"),
    "times fewer": ("Times<br>fewer", "نسبة<br>الخطوات"),
    "times fewer near": ("Times fewer<br>to {near}", "نسبة الخطوات<br>حتى {near}"),
    "best validation": ("Best validation<br>accuracy, %", "أفضل دقة<br>تحقق، <bdi>%</bdi>"),
    "final test": ("Final test<br>accuracy, %", "دقة الاختبار<br>النهائية، <bdi>%</bdi>"),
    "steps a second": ("Steps<br>a second", "الخطوات<br>في الثانية"),
    "images a second": ("Images<br>a second", "الصور<br>في الثانية"),
    "simple loop": ("Simple loop,<br>steps a second", "الحلقة البسيطة،<br>الخطوات في الثانية"),
    "ratio to simple loop": ("Ratio<br>[smallest, largest]", "النسبة<br>[الصغرى، الكبرى]"),
}

TITLES = {
    "figure2": (
        "BN-x5 comes to Inception's best accuracy, {target}, after {fast} steps; Inception itself after {slow}.",
        "بلغت <bdi>BN-x5</bdi> أفضل دقة لشبكة <bdi>Inception</bdi>، وهي {target}، عند الخطوة {fast}، وبلغتها "
        "<bdi>Inception</bdi> نفسها عند الخطوة {slow}.",
    ),
    "figure2 never": (
        "Of the {all} networks with BN, {reached} come to Inception's best accuracy, {target}, in every seed; BN-x5 "
        "is not among them.",
        "عدد شبكات <bdi>BN</bdi> التي بلغت أفضل دقة لشبكة <bdi>Inception</bdi>، وهي {target}، في البذور كلها: "
        "{reached} من {all}، وليست <bdi>BN-x5</bdi> منها.",
    ),
    "inception lost": (
        "Inception itself diverges in a seed before it has learned anything: there is nothing to compare with.",
        "تباعدت <bdi>Inception</bdi> نفسها في بذرة قبل أن تتعلم شيئًا: فلا دقة تُقارَن بها.",
    ),
    "figure2 note": (
        "Mean over seeds with its 95% interval. A mark on the thin line: there the running median of five evaluations "
        "comes to Inception's best, mean over seeds; a network that does not get there in every seed has none. The "
        "networks with the changes of section 4.2.1 are trained for half the steps.",
        "المتوسط على البذور مع فترة الثقة {interval}. عند العلامة على الخط الرفيع يبلغ الوسيط المتحرك لخمسة قياسات "
        "أفضل دقة لشبكة <bdi>Inception</bdi>، بالمتوسط على البذور؛ ولا علامة لشبكة لا تبلغها في البذور كلها. والشبكات "
        "التي فيها تغييرات القسم <bdi>4.2.1</bdi> تُدرَّب بنصف عدد الخطوات.",
    ),
    "cross note": (
        "A cross: there one seed diverges, and from there on the mean is over the others, without an interval.",
        "عند علامة <bdi>×</bdi> تباعدت الشبكة في بذرة، والمتوسط بعدها على البذور الباقية من غير فترة ثقة.",
    ),
    "figure3": (
        "Inception takes {ours} times as many steps as BN-x5 to its own best accuracy; in the paper {papers} times.",
        "نسبة عدد خطوات <bdi>Inception</bdi> حتى أفضل دقة لها إلى عدد خطوات <bdi>BN-x5</bdi> حتى الدقة نفسها: {ours}؛ "
        "وفي الورقة {papers}.",
    ),
    "figure3 never": (
        "BN-x5 does not come to Inception's best accuracy in every seed; in the paper Inception takes {papers} times "
        "as many steps.",
        "لم تبلغ <bdi>BN-x5</bdi> أفضل دقة لشبكة <bdi>Inception</bdi> في البذور كلها؛ أما في الورقة فنسبة عدد خطوات "
        "<bdi>Inception</bdi> إلى عدد خطواتها {papers}.",
    ),
    "figure3 note": (
        "The paper's factors are computed from the steps that it prints; a dash: it says nothing.",
        "نسب الورقة محسوبة من أعداد الخطوات المطبوعة فيها؛ والشَّرطة: لا تذكر الورقة شيئًا.",
    ),
    "table note": (
        "Mean over seeds with its 95% interval. {target} is Inception's best validation accuracy, and {near} is "
        "{share} of it. Times fewer: Inception's steps over the network's. In brackets after a word: in how many of "
        "the seeds.",
        "المتوسط على البذور مع فترة الثقة {interval}. {target} هي أفضل دقة تحقق لشبكة <bdi>Inception</bdi>، و{near} هي "
        "{share} منها. «نسبة الخطوات»: عدد خطوات <bdi>Inception</bdi> مقسومًا على عدد خطوات الشبكة. وما بين القوسين بعد "
        "الكلمة: في كم بذرة حدث ذلك.",
    ),
    "equal": (
        "All else equal, final test accuracy at 1, 5 and 30 times the rate: {bn_x1}, {bn_x5}, {bn_x30} with BN; "
        "{plain_x1}, {plain_x5}, {plain_x30} without.",
        "مع تساوي سائر الشروط، دقة الاختبار النهائية عند المعدل وخمسة أضعافه وثلاثين ضِعفًا له: {bn_x1} و{bn_x5} "
        "و{bn_x30} مع <bdi>BN</bdi>؛ و{plain_x1} و{plain_x5} و{plain_x30} من غيره.",
    ),
    "equal note": (
        "Mean over seeds with its 95% interval; a mark on the thin line as in Figure 2. What section 4.2.1 changes "
        "besides the rate is changed in all six.",
        "المتوسط على البذور مع فترة الثقة {interval}؛ والعلامة على الخط الرفيع كما في الشكل <bdi>2</bdi>. وما يغيِّره "
        "القسم {section} عدا المعدل مُغيَّر في الشبكات الست كلها.",
    ),
    "equal table": (
        "All else equal, BN comes to Inception's best accuracy in every seed at {rates} the rate.",
        "مع تساوي سائر الشروط، تبلغ شبكة <bdi>BN</bdi> أفضل دقة لشبكة <bdi>Inception</bdi> في البذور كلها عند "
        "المعدل: {rates}.",
    ),
    "equal table never": (
        "All else equal, BN comes to Inception's best accuracy in every seed at none of the three rates.",
        "مع تساوي سائر الشروط، لا تبلغ شبكة <bdi>BN</bdi> أفضل دقة لشبكة <bdi>Inception</bdi> في البذور كلها عند أي "
        "من المعدلات الثلاثة.",
    ),
    "sweep": (
        "The best rate is {plain} for Inception and {bn} for BN with all changes: {ratio} times that.",
        "أفضل معدل هو {plain} لشبكة <bdi>Inception</bdi> و{bn} لشبكة <bdi>BN</bdi> مع التغييرات كلها، ونسبة الثاني إلى "
        "الأول {ratio}.",
    ),
    "sweep note": (
        "At each rate: the mean of the last five evaluations on validation images; dots: seeds; a cross: a seed "
        "diverges. The curves: mean over seeds with its 95% interval.",
        "عند كل معدل: متوسط آخر خمسة قياسات على صور التحقق؛ والنقاط: البذور؛ وعلامة <bdi>×</bdi>: تباعدت الشبكة في "
        "بذرة. والمنحنيات: المتوسط على البذور مع فترة الثقة {interval}.",
    ),
    "sweep edge": (
        "At the end of the sweep: {rates}. A better rate may lie beyond.",
        "على طرف مجال البحث: {rates}. فقد يكون خارج هذا المجال معدل أفضل.",
    ),
    "sweep given": (
        "The learning rate was given, {rate} for both networks: there was no sweep.",
        "معدل التعلم معطى، وهو {rate} للشبكتين: فلم يُبحث عن أفضل معدل.",
    ),
    "best": (
        "Each at its own best rate, Inception takes {ours} times as many steps as BN to its own best accuracy.",
        "بأفضل معدل لكل شبكة، نسبة عدد خطوات <bdi>Inception</bdi> حتى أفضل دقة لها إلى عدد خطوات شبكة <bdi>BN</bdi> "
        "حتى الدقة نفسها: {ours}.",
    ),
    "best never": (
        "Each at its own best rate, BN does not come to Inception's best accuracy in every seed.",
        "بأفضل معدل لكل شبكة، لم تبلغ شبكة <bdi>BN</bdi> أفضل دقة لشبكة <bdi>Inception</bdi> في البذور كلها.",
    ),
    "throughput": (
        "A step of BN-x5 takes {longer} times as long here as a step of Inception.",
        "نسبة زمن خطوة <bdi>BN-x5</bdi> هنا إلى زمن خطوة <bdi>Inception</bdi>: {longer}.",
    ),
    "throughput note": (
        "Mini-batches of {batch}, on {device}. The simple loop is the one that one would first write: float32, the "
        "images in the host's memory, one operation after the other.",
        "حجم الدُّفعة الصغيرة {batch}، على {device}. الحلقة البسيطة هي أول ما يُكتب عادةً: أعداد <bdi>float32</bdi>، "
        "والصور في ذاكرة الحاسوب الرئيسية، والعمليات واحدةً بعد الأخرى.",
    ),
}

ESTIMATES = {
    "reached": ("share of seeds that get there", "نسبة البذور التي تُبلَغ فيها دقة <bdi>Inception</bdi>"),
    "speed_up": ("times fewer steps", "خطوات <bdi>Inception</bdi>، نسبةً إلى خطوات الشبكة"),
    "peak_gain": ("gain in best accuracy, points", "الزيادة في أفضل دقة، بالنقاط المئوية"),
    "early_lead": ("lead of BN-x5 at first, points", "تقدُّم <bdi>BN-x5</bdi> في البداية، بالنقاط المئوية"),
    "seeds_lost": ("share of seeds lost", "نسبة البذور التي أخفقت فيها الشبكة"),
    "of_inception": ("best accuracy over Inception's", "نسبة أفضل دقة إلى أفضل دقة لشبكة <bdi>Inception</bdi>"),
    "times_chance": ("best accuracy over chance", "نسبة أفضل دقة إلى دقة التخمين العشوائي"),
    "rate_speed_up": (
        "times fewer steps at five times the rate",
        "الخطوات بالمعدل نفسه، نسبةً إلى الخطوات بخمسة أضعافه",
    ),
    "over_bn_alone": (
        "times fewer steps than with BN alone",
        "الخطوات مع <bdi>BN</bdi> وحده، نسبةً إلى الخطوات مع التغييرات كلها",
    ),
    "peak_inception": ("best accuracy of Inception, %", "أفضل دقة لشبكة <bdi>Inception</bdi>، <bdi>%</bdi>"),
    "peak_x30": ("best accuracy of BN-x30, %", "أفضل دقة لشبكة <bdi>BN-x30</bdi>، <bdi>%</bdi>"),
    "share_of_steps": ("share of the steps, %", "نسبة الخطوات، <bdi>%</bdi>"),
    "times_fewer": ("times fewer steps", "خطوات <bdi>Inception</bdi>، نسبةً إلى خطوات الشبكة"),
}
