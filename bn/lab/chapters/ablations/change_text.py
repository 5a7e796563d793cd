"""The words of notebooks 09 and 10, in both languages, a part of `bn.lab.show.text`."""

WORDS = {
    "change": ("Change", "التغيير"),
    "change rate": ("Learning rate", "معدل التعلم"),
    "change dropout": ("Dropout", "الإسقاط العشوائي"),
    "change l2": ("Weight of the L2 loss", "وزن خسارة L2"),
    "change decay": ("Decay of the rate", "تخفيض معدل التعلم"),
    "change lrn": ("LRN", "تطبيع الاستجابة المحلي"),
    "change shuffling": ("Within-shard shuffling", "الخلط داخل الشريحة"),
    "change distortion": ("Photometric distortion", "التحويرات الفوتومترية"),
    "from to": ("{} → {}", "\u200f{} ← {}"),  # read from right to left, the arrow points to the left
    "times as fast": ("{} times as fast", "\u200fأسرع بمقدار {} أضعاف"),
    "panel alone": ("(a) Alone: added to BN-Baseline", "(أ) منفردًا: ما يضيفه إلى BN-Baseline"),
    "panel left out": ("(b) Left out: lost by BN-x5", "(ب) محذوفًا: ما تخسره BN-x5 من غيره"),
    "points gained": ("points of accuracy (right: it helps)", "نقاط من الدقة (إلى اليمين: التغيير نافع)"),
    "diverged of": ("diverged ({})", "تباعدت ({})"),
    "alone accuracy": ("Alone: accuracy, %", "منفردًا: الدقة، <bdi>%</bdi>"),
    "alone steps": ("Alone: steps", "منفردًا: الخطوات"),
    "left out accuracy": ("Left out: accuracy, %", "محذوفًا: الدقة، <bdi>%</bdi>"),
    "left out steps": ("Left out: steps", "محذوفًا: الخطوات"),
    "for comparison": ("For comparison", "للمقارنة"),
    "ours": ("Measured here, not on ImageNet", "ما قيس هنا، وليس على <bdi>ImageNet</bdi>"),
    "ours imagenet": ("Measured here, on ImageNet", "ما قيس هنا على <bdi>ImageNet</bdi>"),
    "theirs": (
        "ImageNet, quoted from the paper: not measured here",
        "<bdi>ImageNet</bdi>، منقولًا من الورقة: لم يُقَس هنا",
    ),
    "resolution": ("Pixels", "البكسلات"),
    "crops": ("Crops", "الاقتصاصات"),
    "models": ("Networks", "الشبكات"),
    "top-1": ("Top-1 error", "خطأ <bdi>top-1</bdi>"),
    "top-5": ("Top-5 error", "خطأ <bdi>top-5</bdi>"),
    "single": ("one network, one crop", "شبكة واحدة، اقتصاص واحد"),
    "multicrop": ("one network, many crops", "شبكة واحدة، اقتصاصات متعددة"),
    "six": ("six networks, many crops", "ست شبكات، اقتصاصات متعددة"),
    "paper single": ("BN-Inception, one crop", "<bdi>BN-Inception</bdi>، اقتصاص واحد"),
    "paper multicrop": ("BN-Inception, many crops", "<bdi>BN-Inception</bdi>، اقتصاصات متعددة"),
    "paper ensemble": ("BN-Inception, ensemble", "<bdi>BN-Inception</bdi>، مجموعة نماذج"),
    "prior googlenet": ("GoogLeNet, ensemble", "<bdi>GoogLeNet</bdi>، مجموعة نماذج"),
    "prior deep image low": ("Deep Image, low resolution", "<bdi>Deep Image</bdi>، بكسلات أقل"),
    "prior deep image high": ("Deep Image, high resolution", "<bdi>Deep Image</bdi>، بكسلات أكثر"),
    "prior deep image ensemble": ("Deep Image, ensemble", "<bdi>Deep Image</bdi>، مجموعة نماذج"),
    "variable": ("variable", "متغيِّرة"),
    "error top-1": ("(a) Top-1 error", "(أ) خطأ \u2066top-1\u2069"),
    "error top-5": ("(b) Top-5 error", "(ب) خطأ \u2066top-5\u2069"),
    "percent of images": ("% of the test images", "نسبة من صور الاختبار، \u2066%\u2069"),
    "one crop": ("one crop", "اقتصاص واحد"),
    "many crops": ("{} crops", "عدد الاقتصاصات {}"),
    "all six": ("all six", "الست معًا"),
    "member": ("Network", "الشبكة"),
    "dropout of": ("Dropout", "الإسقاط العشوائي"),
    "first weights": ("First weights", "الأوزان الأولية"),
    "last bn": ("BN of the last module", "<bdi>BN</bdi> في الكتلة الأخيرة"),
    "per feature map": ("per feature map", "لكل خريطة ميزات"),
    "per activation": ("per activation", "لكل تنشيط"),
    "bn per activation": ("BN per activation", "\u200fBN لكل تنشيط"),
    "final error": ("Final test error, %", "خطأ الاختبار النهائي، <bdi>%</bdi>"),
}

TITLES = {
    "changes": (
        "Made alone, {alone_up} of the {all} changes raise the accuracy ({alone_up_clear} clearly) and {alone_down} "
        "lower it ({alone_down_clear} clearly); made after all others, {left_out_up} raise it ({left_out_up_clear} "
        "clearly) and {left_out_down} lower it ({left_out_down_clear} clearly).",
        "إذا أُجري كل تغيير منفردًا رفع الدقةَ {alone_up} من أصل {all} ({alone_up_clear} بوضوح) وخفضها {alone_down} "
        "({alone_down_clear} بوضوح)؛ وإذا أُجري بعد التغييرات الأخرى كلها رفعها {left_out_up} ({left_out_up_clear} "
        "بوضوح) وخفضها {left_out_down} ({left_out_down_clear} بوضوح).",
    ),
    "changes note": (
        "Dots: the seeds. Marks: their mean with its {interval} interval, blue where it leaves out zero, which is what "
        "clearly means; an interval that is wider than the panel runs on. (a) BN-Baseline with one change, less "
        "BN-Baseline after as many steps. (b) BN-x5 less BN-x5 without the change.",
        "النقاط الصغيرة: البذور. العلامات: متوسطها مع فترة الثقة {interval}، وهي زرقاء حيث لا تشمل الفترة الصفر، وهذا "
        "معنى الوضوح؛ والفترة الأوسع من اللوحة تمتد خارجها. (أ) <bdi>BN-Baseline</bdi> مع تغيير واحد، مطروحًا منها "
        "<bdi>BN-Baseline</bdi> بعد العدد نفسه من الخطوات. (ب) <bdi>BN-x5</bdi> مطروحًا منها <bdi>BN-x5</bdi> من غير "
        "التغيير.",
    ),
    "changes diverged": (
        "Of the {runs} runs behind the panels, {diverged} diverged.",
        "عدد عمليات التشغيل وراء اللوحتين {runs}، وعدد ما تباعد منها {diverged}.",
    ),
    "changes table note": (
        "Accuracy: final, on test images. Steps: to Inception's best accuracy on validation images, {target}. Both "
        "are means over seeds with their {interval} intervals; BN-Baseline was cut off after as many steps.",
        "الدقة: دقة الاختبار النهائية. الخطوات: حتى أفضل دقة تحقق بلغتها <bdi>Inception</bdi>، وهي {target}. والقيم "
        "متوسطات على البذور مع فترات الثقة {interval}؛ وقُطع تدريب <bdi>BN-Baseline</bdi> بعد العدد نفسه من الخطوات.",
    ),
    "shuffling": (
        "Points of final test accuracy that shuffling adds: {bn} to BN-x5, {plain} to the network without BN; the "
        "first less the second, {more}. In the paper, about one point with BN.",
        "ما يضيفه الخلط إلى دقة الاختبار النهائية بالنقاط المئوية: {bn} مع <bdi>BN-x5</bdi>، و{plain} مع الشبكة من غير "
        "<bdi>BN</bdi>؛ والأول مطروحًا منه الثاني {more}. والقيمة في الورقة نحو نقطة واحدة مع <bdi>BN</bdi>.",
    ),
    "undefined": ("no number, since a network diverged", "بلا عدد، لأن إحدى الشبكات تباعدت"),
    "figure 4 ours": (
        "Errors in percent of {images} test images, mean over the {seeds} seeds with its {interval} interval; of one "
        "network, the mean of the six. Five guesses by chance among {classes} classes miss {chance}.",
        "نسب الخطأ على صور الاختبار، وعددها {images}، بالمتوسط على البذور، وعددها {seeds}، مع فترة الثقة {interval}؛ "
        "وقيمة الشبكة الواحدة هي متوسط الست. وخمسة توقعات عشوائية بين أصناف عددها {classes} تخطئ في {chance} من "
        "الصور.",
    ),
    "figure 4 diverged": (
        "{diverged} of the {all} networks diverged and have no error here; for the claims, such a network and every "
        "six that it belongs to are wrong on every image.",
        "عدد ما تباعد من الشبكات {diverged} من أصل {all}، ولا يُحسب له خطأ هنا؛ وعند الحكم على الادعاءات تُعَدّ كل شبكة "
        "تباعدت، وكل مجموعة نماذج تضمها، مخطئة في الصور جميعها.",
    ),
    "figure 4 theirs": (
        "Figure 4: 50,000 validation images. On the 100,000 images of the test server the ensemble has a top-5 error "
        "of {ours}, and the best earlier result, of He et al., {he} (section 4.2.3). A dash: not given.",
        "الشكل <bdi>4</bdi>: صور التحقق وعددها <bdi>50,000</bdi>. وعلى صور خادم الاختبار، وعددها <bdi>100,000</bdi>، "
        "يبلغ خطأ <bdi>top-5</bdi> لمجموعة النماذج {ours}، ولأفضل نتيجة سابقة، وهي نتيجة <bdi>He</bdi> وآخرين، {he} "
        "(القسم <bdi>4.2.3</bdi>). الشَّرطة: قيمة غير مذكورة.",
    ),
    "gain": (
        "On {crops} crops the six together miss {ensemble} of the images, the best of them {best}, and one of them on "
        "average {mean}; on one crop it misses {single}.",
        "باقتصاصات عددها {crops} تخطئ الشبكات الست معًا في {ensemble} من الصور، وأفضلها في {best}، والواحدة منها في "
        "المتوسط في {mean}؛ وباقتصاص واحد تخطئ الواحدة في {single}.",
    ),
    "gain diverged": (
        "In {seeds} of the seeds a network diverged: the six have no error on {crops} crops.",
        "تباعدت شبكة واحدة على الأقل في {seeds} من البذور: فلا يُحسب خطأ الست معًا باقتصاصات عددها {crops}.",
    ),
    "gain note": (
        "Dots: the seeds, each with six networks of its own. Marks: their mean.",
        "النقاط الصغيرة: البذور، ولكل بذرة شبكاتها الست. العلامات: متوسطها.",
    ),
}

# The names of the estimates in the rules of book/claims.yml.
ESTIMATES = {
    "change_gain": ("accuracy gained, percentage points", "ما يُكسَب من الدقة بالنقاط المئوية"),
    "change_speed": ("steps without the change / with it", "الخطوات من غير التغيير، نسبةً إلى الخطوات معه"),
    "more_than_plain": (
        "gained more than without BN, percentage points",
        "الزيادة على ما يُكسَب من غير <bdi>BN</bdi>، بالنقاط المئوية",
    ),
    "ensemble_gain": (
        "error of the best network less that of the six, percentage points",
        "خطأ أفضل الشبكات مطروحًا منه خطأ الست معًا، بالنقاط المئوية",
    ),
    "crops_gain": (
        "error on one crop less that on many, percentage points",
        "الخطأ باقتصاص واحد مطروحًا منه الخطأ باقتصاصات متعددة، بالنقاط المئوية",
    ),
    "sum_error": ("distance of the sum from 1", "بُعد المجموع عن <bdi>1</bdi>"),
    "epochs": ("times all images", "عدد مرات المرور على الصور كلها"),
    "disagreement": ("disagreement, percentage points", "الاختلاف بالنقاط المئوية"),
    "ensemble_top5": ("top-5 error of the six, %", "خطأ <bdi>top-5</bdi> للست معًا، <bdi>%</bdi>"),
    "z": ("margin in standard errors", "الفارق مقيسًا بالخطأ المعياري"),
}
